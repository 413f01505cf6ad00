"""Gauss-Newton steps with renders, and trials of neighbours."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blackbox_grad.dependencies import library
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.search.base import Found, Script, ScriptedSearcher

#: Of a stepped parameter with steps as long as this, 9 levels or fewer, all levels are tried: they may have no order.
_COARSE = 1 / 8

#: Dampings tried at each step.
_DAMPINGS = (1e-4, 1e-2, 1.0)

#: Multiples of the step before that are tried too, as a narrow valley runs straight.
_MULTIPLES = (3.0, 10.0)

#: A step fails if the loss stays above this part of what it was; patience runs until it falls below that part.
_FAILED, _PROGRESS = 0.995, 0.9

#: Directions weaker than this part of the strongest are raised to it.
_SMALLEST = 1e-12

#: Iterations of the bounded least squares, for each parameter.
_BVLS = 10


@dataclass
class _Here:
    """The best settings so far, `[P]`, their loss and its residuals `[R]`."""

    point: FloatArray
    loss: float
    residual: Tensor


class Polish(ScriptedSearcher):
    """Gauss-Newton steps for the sum of absolute residuals, and trials of neighbours.

    The absolute values are weighted squares: `|r| = r² / |r|` (iteratively reweighted least squares). The Jacobian comes from one
    render a parameter, and several dampings are tried as one batch (D. W. Marquardt, "An algorithm for least-squares estimation of
    nonlinear parameters", J. SIAM 11(2), 1963, doi:10.1137/0111030). Where that does not help, every parameter is moved alone, and
    every stepped one to its neighbouring levels.

    Args:
        space: of the settings.
        start: `[P]`: where it begins.
        reach: how far parameters are moved at first.
        finest: it has converged when nothing closer than this is better.
        enough: it has converged at this loss.
        patience: it ends when so many renders in a row have not lowered the loss by a tenth; None to go on.
        held: a parameter that stays where it is.

    Attributes:
        best, lowest: the best settings so far, `[P]`, and their loss; infinite before the start is known.
    """

    def __init__(
        self,
        space: ParameterSpace,
        start: FloatArray,
        *,
        reach: float = 0.03,
        finest: float = 0.001,
        enough: float = 0.0,
        patience: int | None = None,
        held: int | None = None,
    ) -> None:
        super().__init__(space)
        self.reach, self.finest, self.enough, self.patience, self.held = reach, finest, enough, patience, held
        self._renders = 0
        self._here = _Here(space.snap(start), np.inf, torch.empty(0))

    @property
    def best(self) -> FloatArray:
        return self._here.point

    @property
    def lowest(self) -> float:
        return self._here.loss

    def script(self) -> Script:
        losses, residuals = yield self._here.point[None]
        here = self._here = _Here(self._here.point, float(losses[0]), residuals[0])
        reach, last, reference, since = self.reach, np.zeros_like(here.point), here.loss, self._renders
        while here.loss > self.enough and (self.patience is None or self._renders - since < self.patience):
            before = here
            yield from self._newton(reach, last)
            if not self._here.loss < _FAILED * before.loss:
                yield from self._try(self._neighbours(reach))
            here = self._here
            if not here.loss < _FAILED * before.loss:
                if reach <= self.finest or (self.space.steps >= _COARSE).all():
                    return
                reach = max(reach / 4, self.finest)
            else:
                reach = float(np.clip(2 * np.abs(here.point - before.point).max(), self.finest, self.reach))
            last = here.point - before.point
            if here.loss < _PROGRESS * reference:
                reference, since = here.loss, self._renders

    def _rendered(self, points: FloatArray) -> Generator[FloatArray, Found, Found]:
        found = yield points
        self._renders += len(points)
        return found

    def _try(self, trials: FloatArray) -> Script:
        """Go to the best of `trials: [N, P]`, if it is better."""
        if not len(trials):
            return
        losses, residuals = yield from self._rendered(trials)
        best = int(losses.argmin())
        if losses[best] < self._here.loss:
            self._here = _Here(self.space.snap(trials[best]), float(losses[best]), residuals[best])

    def _newton(self, reach: float, last: FloatArray) -> Script:
        """One step; `last: [P]` is the one before."""
        here, steps = self._here, self.space.steps
        point, residual = here.point, here.residual
        moving = np.flatnonzero((steps <= _COARSE) & (np.arange(len(steps)) != self.held))
        if not len(moving):
            return
        travel = np.maximum(reach, steps[moving]) * np.where(point[moving] < 0.5, 1.0, -1.0)
        probes = np.repeat(point[None], len(moving), axis=0)
        probes[np.arange(len(moving)), moving] += travel
        probes = self.space.snap(np.clip(probes, 0.0, 1.0))
        values, moved = yield from self._rendered(probes)
        usable = np.flatnonzero(np.isfinite(values))
        if not len(usable):
            return
        moving, probes = moving[usable], probes[usable]
        distance = probes[np.arange(len(moving)), moving] - point[moving]
        jacobian = (torch.stack([moved[i] for i in usable.tolist()]) - residual) / torch.from_numpy(distance).to(residual)[
            :, None
        ]
        trials = []
        for weighted in (jacobian, jacobian / residual.abs().clamp(min=max(0.1 * float(residual.abs().mean()), 1e-12))):
            normal = (weighted @ jacobian.T).double().numpy()
            slope = (weighted @ residual).double().numpy()
            trials += [_damped_step(point, moving, normal, slope, damping) for damping in _DAMPINGS]
        trials += [np.clip(point + multiple * last, 0.0, 1.0) for multiple in _MULTIPLES if last.any()]
        yield from self._try(np.array(trials))

    def _neighbours(self, reach: float) -> FloatArray:
        """Every parameter alone, moved both ways; of a few levels, all."""
        point, trials = self._here.point, []
        for index, step in enumerate(self.space.steps):
            if index == self.held:
                continue
            if step >= _COARSE:
                values = np.linspace(0.0, 1.0, round(1 / step) + 1)
            else:
                values = np.clip(point[index] + max(reach, step) * np.array([-1.0, 1.0]), 0.0, 1.0)
            for value in values[np.abs(values - point[index]) > 1e-9]:
                trials.append(point.copy())
                trials[-1][index] = value
        return np.array(trials)


def _damped_step(
    point: FloatArray, moving: NDArray[np.intp], normal: FloatArray, slope: FloatArray, damping: float
) -> FloatArray:
    """`point: [P]` with the step that minimises the damped square inside the box.

    Args:
        moving: indices of the `M` parameters that move.
        normal, slope: `[M, M], [M]`: `JᵀJ` and `Jᵀr`.
        damping: added to the diagonal, relative to it.
    """
    optimize = library("scipy.optimize", "Polish")
    scale = np.diag(normal) + 1e-9 * max(float(np.diag(normal).max()), 1e-30)
    sizes, directions = np.linalg.eigh((normal + normal.T) / 2 + np.diag(damping * scale))
    roots = np.sqrt(np.maximum(sizes, _SMALLEST * sizes[-1]))
    # ‖A s - b‖² has the same minimum: AᵀA is the damped normal matrix, and Aᵀb the downhill slope
    matrix, goal = roots[:, None] * directions.T, -(directions.T @ slope) / roots
    here, trial = point[moving], point.copy()
    step = optimize.lsq_linear(matrix, goal, bounds=(-here, 1.0 - here), method="bvls", max_iter=_BVLS * len(moving)).x
    trial[moving] = np.clip(here + step, 0.0, 1.0)
    return trial
