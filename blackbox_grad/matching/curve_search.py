"""`CurveSearch`: curves of settings, found piece by piece in time.

A curve of 16 knots has 16 settings for each control that moves, and a search that saw only one loss would need thousands of
renders. But a knot is heard around its own time, and so each render is heard in pieces:

1. Renders at constant settings tell for every knot which of them suits best there. The cheapest path through them is the start.
2. Gauss-Newton: of each control, every `stride`-th knot is moved in one render, as `Segments` does, and each piece of audio gives
   the columns of the knots that are heard in it. The steps are damped, held in the box, and bound a little to smooth curves, which
   decides where the recording is silent.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.dependencies import library
from blackbox_grad.estimators.segments import Group, groups_of
from blackbox_grad.inspection.memory import FAR, heard_until
from blackbox_grad.losses.base import FeatureLoss
from blackbox_grad.losses.by_name import Loss, loss_for
from blackbox_grad.matching.curve_start import best_path, widened, windows
from blackbox_grad.matching.driver import Driver
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.rows import Row, rows
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.search.sampling import Sampling


@dataclass(frozen=True)
class CurveNumbers:
    """Every number of the search.

    Attributes:
        constants, constants_each, constants_share: constant settings that are rendered: so many, more for each control that moves,
            at most this part of all renders.
        least: samples of a piece of audio, which a loss can hear.
        longest: seconds of memory that are taken into account.
        steps: distances of the differences, the coarse ones first; a finer one follows where steps no longer succeed.
        dampings: factors of the damping that are tried together.
        smooth: weight of the curvature of curves, as part of the mean weight of the sound.
        flat: residuals below this part of the mean count as so large.
        enough: it has converged when the loss is this part of the loss at the start.
        success: a step succeeds if it leaves less than this part of the loss.
    """

    constants: int = 24
    constants_each: int = 24
    constants_share: float = 0.4
    least: int = 6144
    longest: float = 1.0
    steps: tuple[float, ...] = (0.03, 0.01, 0.003)
    dampings: tuple[float, ...] = (0.03, 0.3, 3.0)
    smooth: float = 1e-4
    flat: float = 0.1
    enough: float = 1e-3
    success: float = 0.995


class CurveSearch:
    """Lowers the loss of an objective whose settings move.

    Args:
        target: `[C, T]`, as long as what is rendered.
        sample_rate: Hz.
        loss: of pieces of the audio.
        seed: of the constant settings.
    """

    method = "curves"
    reason = (
        "Settings move: constant settings tell where to begin at each knot, and Gauss-Newton steps refine the curves in pieces."
    )

    def __init__(self, target: Tensor, sample_rate: float, loss: Loss, seed: int, numbers: CurveNumbers | None = None) -> None:
        self._target, self._rate, self._loss, self._seed = target, sample_rate, loss, seed
        self.numbers = numbers or CurveNumbers()

    def run(self, driver: Driver) -> None:
        """Raises `BudgetSpent` where the renders do not suffice."""
        space = driver.objective.space
        controls = rows(space)
        point = self._started(driver, space, controls)
        memory = self._memory(driver, controls, point)
        groups = groups_of(controls, memory)
        self._refined(driver, space, controls, groups, point)

    def _started(self, driver: Driver, space: ParameterSpace, controls: list[Row]) -> FloatArray:
        """The curves through constant settings that suit at each knot."""
        numbers, objective = self.numbers, driver.objective
        moving = [i for i, row in enumerate(controls) if row.moves]
        few = ParameterSpace([space[row.start] for row in controls])
        wanted = numbers.constants + numbers.constants_each * len(moving)
        count = max(4, min(wanted, int(numbers.constants_share * objective.left)))
        settings = np.concatenate([few.defaults[None], Sampling(few, self._seed, middle=True).ask(count)])
        spread = np.repeat(settings, [row.places.stop - row.start for row in controls], axis=1)
        knots = [round(t * self._rate) for t in controls[moving[0]].seconds]
        parts = windows(knots, self._target.shape[-1], numbers.least)
        heard = [loss_for(self._loss, self._target[:, part], self._rate) for part in parts]
        found = []
        for constant in spread:
            y, losses = objective.sounds(constant[None])
            driver.report(float(losses[0]), "search")
            with torch.no_grad():
                own = [float(loss(y[..., part])[0]) for loss, part in zip(heard, parts, strict=True)]
            found.append(own if np.isfinite(losses[0]) else [np.inf] * len(parts))
        costs = np.array(found)
        path = best_path(costs, settings[:, moving])
        best = int(np.where(np.isfinite(costs), costs, 1e300).sum(axis=1).argmin())
        point: FloatArray = spread[best].copy()
        for i in moving:
            row = controls[i]
            point[row.places] = settings[path, i]
        return point

    def _memory(self, driver: Driver, controls: list[Row], point: FloatArray) -> float:
        """Seconds for which a knot is heard after the next one."""
        moving = [row for row in controls if row.moves]
        seconds = moving[0].seconds
        k = min(1, len(seconds) - 1)
        points = np.repeat(point[None], len(moving) + 1, axis=0)
        for changed, row in zip(points[1:], moving, strict=True):
            changed[row.start + k] += FAR if changed[row.start + k] < 0.5 else -FAR
        y, losses = driver.objective.sounds(points)
        driver.report(float(losses.min()), "search")
        ends = heard_until((y[1:] - y[:1]).numpy()).max()
        after = float(ends / self._rate - seconds[min(k + 1, len(seconds) - 1)])
        return min(self.numbers.longest, max(0.0, after))

    def _refined(
        self, driver: Driver, space: ParameterSpace, controls: list[Row], groups: list[Group], point: FloatArray
    ) -> None:
        numbers, objective = self.numbers, driver.objective
        pieces = _Pieces(self._target, self._rate, self._loss, controls, numbers.least)
        y, losses = objective.sounds(point[None])
        driver.report(float(losses[0]), "curves")
        loss, level, stage = float(losses[0]), 1.0, 0
        stepped = np.array([p.levels is not None for p in space])
        while stage < len(numbers.steps) and loss > numbers.enough * driver.start:
            step = numbers.steps[stage]
            travel = np.where(point < 0.5, step, -step)
            moved = np.repeat(point[None], len(groups), axis=0)
            for row, group in zip(moved, groups, strict=True):
                row[list(group.places)] += travel[list(group.places)]
            of_moved, found = objective.sounds(space.snap(moved))
            driver.report(float(found.min()), "curves")
            matrix, slope = pieces.normal(y[0], of_moved, groups, travel, len(space), numbers.flat)
            matrix[stepped], matrix[:, stepped], slope[stepped] = 0.0, 0.0, 0.0
            scale = float(np.trace(matrix)) / max(1, len(space) - int(stepped.sum()))
            bent = numbers.smooth * scale * _curvature(controls, len(space))
            trials = np.stack([_step(matrix + bent, slope + bent @ point, point, level * d) for d in numbers.dampings])
            sounds, tried = objective.sounds(space.snap(trials))
            driver.report(float(tried.min()), "curves")
            best = int(np.argmin(tried))
            if tried[best] < loss:
                success = tried[best] < numbers.success * loss
                level = float(np.clip(level * numbers.dampings[best] / numbers.dampings[1], 1e-4, 1e4))
                point, loss, y = space.snap(trials[best]), float(tried[best]), sounds[best : best + 1]
                stage += not success
            else:
                level *= 10.0
                stage += level > 1e3 or numbers.steps[stage] > numbers.steps[-1]


class _Pieces:
    """The audio in segments from knot to knot, each with the loss of its own target."""

    def __init__(self, target: Tensor, sample_rate: float, loss: Loss, controls: list[Row], least: int) -> None:
        seconds = next(row.seconds for row in controls if row.moves)
        samples = target.shape[-1]
        edges = [*(min(samples, round(t * sample_rate)) for t in seconds), samples]
        self._parts = [widened(slice(a, b), samples, least) if b > a else None for a, b in pairwise(edges)]
        self._losses: list[FeatureLoss | None] = [
            None if part is None else loss_for(loss, target[:, part], sample_rate) for part in self._parts
        ]

    def normal(
        self, y: Tensor, moved: Tensor, groups: list[Group], travel: FloatArray, count: int, flat: float
    ) -> tuple[FloatArray, FloatArray]:
        """Matrix `[P, P]` and vector `[P]` of the Gauss-Newton step, from the renders with one group moved each, `[G, C, T]`.

        The loss is a sum of absolute residuals: each counts with the inverse of its size (iteratively reweighted least squares).
        """
        matrix, slope = np.zeros((count, count)), np.zeros(count)
        for s, (part, loss) in enumerate(zip(self._parts, self._losses, strict=True)):
            if part is None or loss is None:
                continue
            with torch.no_grad():
                here = loss.residuals(y[None, :, part])[0].double()
                there = torch.stack([loss.residuals(z[None, :, part])[0] for z in moved]).double()
            size = here.abs()
            floor = flat * size.mean().clamp(min=1e-12)
            weight = 1.0 / torch.maximum(size, floor)
            owners = [_owner(group, s) for group in groups]
            columns = (there - here) / torch.from_numpy(np.array([travel[o] for o in owners]))[:, None]
            own = ((columns * weight) @ columns.T).numpy()
            towards = (columns * weight) @ here
            at = np.array(owners)
            np.add.at(matrix, (at[:, None], at[None]), own)
            np.add.at(slope, at, towards.numpy())
        return matrix, slope


def _owner(group: Group, segment: int) -> int:
    """Which parameter of a group is heard in a segment."""
    inside = [p for p, a, b in zip(group.places, group.begins, group.ends, strict=True) if a <= segment < b]
    return inside[0] if inside else group.places[0]


def _curvature(controls: list[Row], count: int) -> FloatArray:
    """`[P, P]`: the form of the second differences of all curves."""
    result = np.zeros((count, count))
    for row in controls:
        for k in range(row.start + 1, row.places.stop - 1):
            if row.moves:
                difference = np.zeros(count)
                difference[k - 1 : k + 2] = 1.0, -2.0, 1.0
                result += np.outer(difference, difference)
    return result


def _step(matrix: FloatArray, slope: FloatArray, point: FloatArray, damping: float) -> FloatArray:
    """The point in the box after a damped Gauss-Newton step.

    The damping is relative to the diagonal: D. W. Marquardt, "An algorithm for least-squares estimation of nonlinear parameters",
    J. SIAM 11(2), 1963, doi:10.1137/0111030.
    """
    diagonal = np.diag(matrix)
    least = max(1e-9 * float(diagonal.max()), 1e-300)
    root = np.linalg.cholesky(matrix + np.diag(damping * diagonal + least)).T
    wanted = -np.linalg.solve(root.T, slope)
    bounds = (np.minimum(-point, -1e-12), np.maximum(1.0 - point, 1e-12))
    optimize = library("scipy.optimize", "the search for curves")
    return np.asarray(np.clip(point + optimize.lsq_linear(root, wanted, bounds, method="bvls").x, 0.0, 1.0))
