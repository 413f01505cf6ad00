"""Down an estimator's gradients: quasi-random starts, Adam on some of them, and a polish."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch

from blackbox_grad.estimators.base import Estimator
from blackbox_grad.estimators.problem import ProbeKind
from blackbox_grad.matching.driver import Driver
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.search.polish import Polish
from blackbox_grad.search.sampling import Sampling, distinct


@dataclass(frozen=True)
class DescentNumbers:
    """Every number of the descent.

    Attributes:
        enough: it has converged when the loss is this part of the loss at the start.
        samples, samples_each, samples_share: quasi-random renders: so many, more for each parameter, at most this part of all.
        starts, other_starts: the best of these, for Adam; others are polished only.
        stages: starts kept, learning rate and steps of each stage.
        patience, success: Adam ends after so many steps in which the lowest loss did not fall to this part.
        agreement: cosine between the changes of the loss that cotangents predict and the true ones, above which cotangents are
            trusted.
        directions, distance: over which that is measured.
        polish, failures: a polish that leaves more than this part of the loss has failed; so many in a row end it.
    """

    enough: float = 1e-4
    samples: int = 32
    samples_each: int = 12
    samples_share: float = 0.2
    starts: int = 4
    other_starts: int = 8
    stages: tuple[tuple[int, float, int], ...] = ((4, 0.06, 12), (2, 0.03, 16))
    patience: int = 8
    success: float = 0.99
    agreement: float = 0.7
    directions: int = 6
    distance: float = 0.05
    polish: float = 0.98
    failures: int = 3


@dataclass
class Descent:
    """Settings found by an estimator's gradients.

    Attributes:
        estimator: of the gradient.
        probe_kind: what it probes: "loss", "cotangent", or "auto" for the one that a measurement trusts.
        method, reason: what it did, and why.
    """

    estimator: Estimator
    probe_kind: str = "auto"
    numbers: DescentNumbers = field(default_factory=DescentNumbers)
    method: str = "search"
    reason: str = "All renders went into the search for a start."

    def run(self, driver: Driver, seed: int, places: FloatArray, losses_there: FloatArray) -> None:
        """Descend from the best of quasi-random settings and of `places: [N, P]`, whose losses `[N]` are known.

        Raises `BudgetSpent` where the renders do not suffice.
        """
        objective, numbers = driver.objective, self.numbers
        enough = numbers.enough * driver.start if np.isfinite(driver.start) else 0.0
        generator = torch.Generator().manual_seed(seed)
        points, losses = self._sampled(driver, seed)
        points, losses = np.concatenate([points, places]), np.append(losses, losses_there)
        starts = distinct(points, losses, numbers.starts)
        kind = self._chosen_kind(driver, starts, generator)
        self.method = f"{self.estimator!r}, {kind} probes"
        for kept, rate, steps in numbers.stages:  # half of the starts go on to the next stage, with smaller steps
            starts, lowest = self._adam(driver, starts[:kept], kind, rate, steps, generator)
            starts = starts[np.argsort(lowest, kind="stable")]
            if objective.best_loss <= enough:
                break
        failures = 0
        for start in [objective.best_point, *starts[1:], *distinct(points, losses, numbers.other_starts)]:
            if objective.best_loss <= enough or failures == numbers.failures:
                return
            before = objective.best_loss
            driver.drive(Polish(objective.space, start, enough=enough), "polish")
            failures = 0 if objective.best_loss < numbers.polish * before else failures + 1

    def _sampled(self, driver: Driver, seed: int) -> tuple[FloatArray, FloatArray]:
        """Quasi-random settings, the defaults before them, and their losses."""
        objective, numbers = driver.objective, self.numbers
        space, count = objective.space, len(objective.space)
        wanted = min(numbers.samples + numbers.samples_each * count, int(numbers.samples_share * (objective.left + 1)))
        points = Sampling(space, seed, middle=True).ask(max(4, wanted))
        losses, _ = driver.evaluate(points, "search")
        return np.concatenate([space.defaults[None], points]), np.array([driver.start, *losses])

    def _chosen_kind(self, driver: Driver, points: FloatArray, generator: torch.Generator) -> ProbeKind:
        """Which of the two functions gradients are estimated from."""
        numbers = self.numbers
        if self.probe_kind != "auto":
            self.reason = f"Chosen by the caller: {self.probe_kind} probes."
            return "loss" if self.probe_kind == "loss" else "cotangent"
        signs = torch.randint(0, 2, (numbers.directions, points.shape[1]), generator=generator).double().numpy() * 2 - 1
        agreement = driver.objective.agreement(points[:2], numbers.distance * signs)
        trusted = agreement >= numbers.agreement
        verdict = f"at least the {numbers.agreement} at which" if trusted else f"less than the {numbers.agreement} from which"
        self.reason = (
            f"Over steps of {numbers.distance}, cotangents predict the changes of the loss with a cosine of {agreement:.2f}, "
            f"{verdict} they are trusted."
        )
        return "cotangent" if trusted else "loss"

    def _adam(
        self, driver: Driver, starts: FloatArray, kind: ProbeKind, rate: float, steps: int, generator: torch.Generator
    ) -> tuple[FloatArray, FloatArray]:
        """From `starts: [S, P]` to the best settings of each, `[S, P]`, and their losses, `[S]`.

        Settings are held in the box by projection, so that one at a face is not stuck there. D. P. Kingma, J. Ba, "Adam: a method
        for stochastic optimization", ICLR 2015, arXiv:1412.6980.
        """
        p = torch.from_numpy(starts.copy())
        adam = torch.optim.Adam([p], betas=(0.8, 0.95))
        best, lowest = starts.copy(), np.full(len(starts), np.inf)
        reference, since = np.inf, 0
        for step in range(steps):
            problem, losses = driver.objective.problem(p.numpy(), kind, generator)
            better = losses < lowest
            best[better], lowest[better] = problem.point.numpy()[better], losses[better]
            driver.report(float(losses.min()), "descent")
            since = 0 if lowest.min() < self.numbers.success * reference else since + 1
            reference = lowest.min() if since == 0 else reference
            if since >= self.numbers.patience:
                break
            gradient = torch.nan_to_num(self.estimator.estimate(problem).gradient, posinf=0.0, neginf=0.0)
            p.grad = torch.where(torch.from_numpy(np.isfinite(losses))[:, None], gradient, 0.0)
            for group in adam.param_groups:
                # a half cosine down to a tenth
                group["lr"] = rate * (0.1 + 0.9 * (1 + np.cos(np.pi * step / steps)) / 2)
            adam.step()
            p.clamp_(0.0, 1.0)
        return best, lowest
