"""Gauss-Newton steps with renders, and trials of neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blackbox_grad.parameters.parameter import FloatArray

if TYPE_CHECKING:
    from blackbox_grad.matching.objective import Objective, OnStep

#: A stepped parameter with so many levels or fewer has all of them tried, as they may have no order.
_FEW_LEVELS = 8


@dataclass
class Polish:
    """Gauss-Newton steps for the sum of absolute residuals, and trials of neighbours.

    The absolute values are weighted squares: `|r| = r² / |r|` (iteratively reweighted least squares); the Jacobian comes from one
    render a parameter, and several dampings are tried as one batch (D. W. Marquardt, "An algorithm for least-squares estimation
    of nonlinear parameters", J. SIAM 11(2), 1963). Where that does not help, every parameter is moved alone, and every stepped
    one to its neighbouring levels.

    Attributes:
        reach: how far parameters are moved at first.
        finest: it has converged when nothing closer than this is better.
        enough: it has converged at this loss.
        patience: it ends when so many renders in a row have not lowered the loss by a tenth; None to go on.
        held: a parameter that stays where it is.
    """

    reach: float = 0.03
    finest: float = 0.001
    enough: float = 0.0
    patience: int | None = None
    held: int | None = None

    def run(self, objective: Objective, start: FloatArray, on_step: OnStep) -> tuple[FloatArray, float]:
        """From `start: [P]` to a point and its loss."""
        point = objective.space.snap(start)
        losses, residuals = objective.residuals(point[None])
        loss, residual, reach = float(losses[0]), residuals[0], self.reach
        last = np.zeros_like(point)
        reference, since = loss, objective.renders
        while loss > self.enough and (self.patience is None or objective.renders - since < self.patience):
            before, origin = loss, point
            point, loss, residual = self._newton(objective, point, loss, residual, reach, last)
            on_step(loss)
            if not loss < 0.995 * before:
                point, loss, residual = self._neighbours(objective, point, loss, residual, reach)
                on_step(loss)
            if not loss < 0.995 * before:
                if reach <= self.finest or (objective.space.steps >= 1.0 / _FEW_LEVELS).all():
                    break
                reach = max(reach / 4, self.finest)
            else:
                reach = float(np.clip(2 * np.abs(point - origin).max(), self.finest, self.reach))
            last = point - origin
            if loss < 0.9 * reference:
                reference, since = loss, objective.renders
        return point, loss

    def _newton(
        self, objective: Objective, point: FloatArray, loss: float, residual: Tensor, reach: float, last: FloatArray
    ) -> tuple[FloatArray, float, Tensor]:
        """One step; `last: [P]` is the one before, of which multiples are tried too, as a narrow valley runs straight."""
        steps = objective.space.steps
        moving = np.flatnonzero((steps <= 1.0 / _FEW_LEVELS) & (np.arange(len(steps)) != self.held))
        if not len(moving):
            return point, loss, residual
        travel = np.maximum(reach, steps[moving]) * np.where(point[moving] < 0.5, 1.0, -1.0)
        probes = np.repeat(point[None], len(moving), axis=0)
        probes[np.arange(len(moving)), moving] += travel
        probes = objective.space.snap(np.clip(probes, 0.0, 1.0))
        values, moved = objective.residuals(probes)
        usable = np.isfinite(values)
        moving, probes = moving[usable], probes[usable]
        if not len(moving):
            return point, loss, residual
        distance = probes[np.arange(len(moving)), moving] - point[moving]
        jacobian = (moved[torch.from_numpy(usable)] - residual) / torch.from_numpy(distance).float()[:, None]
        steps_taken = []
        for weighted in (jacobian, jacobian / residual.abs().clamp(min=max(0.1 * float(residual.abs().mean()), 1e-12))):
            normal = (weighted @ jacobian.T).double().numpy()
            slope = (weighted @ residual).double().numpy()
            steps_taken += [self._step(point, moving, normal, slope, damping) for damping in (1e-4, 1e-2, 1.0)]
        steps_taken += [np.clip(point + factor * last, 0.0, 1.0) for factor in (3.0, 10.0) if last.any()]
        trials = np.array(steps_taken)
        found, after = objective.residuals(trials)
        index = int(found.argmin())
        if found[index] < loss:
            return objective.space.snap(trials[index]), float(found[index]), after[index]
        return point, loss, residual

    @staticmethod
    def _step(point: FloatArray, moving: NDArray[np.intp], normal: FloatArray, slope: FloatArray, damping: float) -> FloatArray:
        """The damped step inside the box: a parameter that it would push through a face is put on the face, and solved without."""
        trial, free, shift = point.copy(), np.ones(len(moving), dtype=bool), np.zeros(len(moving))
        scale = np.diag(normal) + 1e-9 * max(float(np.diag(normal).max()), 1e-30)
        for _ in range(len(moving)):
            if not free.any():
                break
            pinned = ~free
            right = -(slope[free] + normal[np.ix_(free, pinned)] @ shift[pinned])
            shift[free] = np.linalg.solve(normal[np.ix_(free, free)] + np.diag(damping * scale[free]), right)
            target = point[moving] + shift
            out = free & ((target < 0.0) | (target > 1.0))
            if not out.any():
                break
            shift[out] = np.clip(target[out], 0.0, 1.0) - point[moving][out]
            free &= ~out
        trial[moving] = np.clip(point[moving] + shift, 0.0, 1.0)
        return trial

    def _neighbours(
        self, objective: Objective, point: FloatArray, loss: float, residual: Tensor, reach: float
    ) -> tuple[FloatArray, float, Tensor]:
        trials = []
        for index, step in enumerate(objective.space.steps):
            if index == self.held:
                continue
            if step >= 1.0 / _FEW_LEVELS:
                values = np.linspace(0.0, 1.0, round(1 / step) + 1)
            else:
                values = np.clip(point[index] + max(reach, step) * np.array([-1.0, 1.0]), 0.0, 1.0)
            for value in values[np.abs(values - point[index]) > 1e-9]:
                trials.append(point.copy())
                trials[-1][index] = value
        if not trials:
            return point, loss, residual
        found, after = objective.residuals(np.array(trials))
        best = int(found.argmin())
        if found[best] < loss:
            return objective.space.snap(trials[best]), float(found[best]), after[best]
        return point, loss, residual
