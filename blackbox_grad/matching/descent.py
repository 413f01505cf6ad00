"""Adam on an estimator's gradients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from blackbox_grad.estimators.base import Estimator
from blackbox_grad.matching.objective import Kind, Objective, OnStep
from blackbox_grad.parameters.parameter import FloatArray


@dataclass
class Descent:
    """Adam on the settings themselves, held in the box by projection, so a point at a face is not stuck there.

    D. P. Kingma, J. Ba, "Adam: a method for stochastic optimization", ICLR 2015, arXiv:1412.6980.

    Attributes:
        estimator: of the gradient.
        kind: what it probes.
        rate: learning rate at the beginning; it falls to a tenth along a half cosine.
        steps: at most.
        patience: it ends after so many steps in which the best loss did not fall by a hundredth.
    """

    estimator: Estimator
    kind: Kind
    rate: float
    steps: int
    patience: int = 8

    def run(
        self, objective: Objective, starts: FloatArray, generator: torch.Generator, on_step: OnStep
    ) -> tuple[FloatArray, FloatArray]:
        """From `starts: [S, P]` to the best point of each, `[S, P]`, and their losses, `[S]`."""
        p = torch.from_numpy(starts.copy())
        adam = torch.optim.Adam([p], betas=(0.8, 0.95))
        best, lowest = starts.copy(), np.full(len(starts), np.inf)
        reference, since = np.inf, 0
        for step in range(self.steps):
            problem, losses = objective.problem(p.numpy(), self.kind, generator)
            better = losses < lowest
            best[better], lowest[better] = problem.point.numpy()[better], losses[better]
            on_step(float(losses.min()))
            since = 0 if lowest.min() < 0.99 * reference else since + 1
            reference = lowest.min() if since == 0 else reference
            if since >= self.patience:
                break
            gradient = torch.nan_to_num(self.estimator.estimate(problem).gradient, posinf=0.0, neginf=0.0)
            p.grad = torch.where(torch.from_numpy(np.isfinite(losses))[:, None], gradient, 0.0)
            for group in adam.param_groups:
                group["lr"] = self.rate * (0.1 + 0.9 * (1 + np.cos(np.pi * step / self.steps)) / 2)
            adam.step()
            p.clamp_(0.0, 1.0)
        return best, lowest
