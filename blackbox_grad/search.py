"""The search behind `match`: a loss of the settings that counts its renders, and the phases that lower it.

*Search*: quasi-random points. *Emulation*: renders where an emulator of the effect expects a low loss; or, if an estimator is
given, *descent*: Adam on estimated gradients, several starts as one batch. *Polish*: Gauss-Newton steps on the residuals of the
loss, and trials of neighbouring levels. *Lines*, a `LineSearch`, find the valleys that all these pass by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blackbox_grad.effects import Audio, EffectSpec
from blackbox_grad.emulator import Emulator, Pursuit
from blackbox_grad.estimators import Estimator
from blackbox_grad.hosts import Host
from blackbox_grad.losses import FeatureLoss
from blackbox_grad.parameters import FloatArray, ParameterSpace
from blackbox_grad.problem import Problem

Kind = Literal["loss", "cotangent"]

#: Renders whose audio is in memory at once.
_CHUNK = 16

#: A stepped parameter with so many levels or fewer has all of them tried, as they may have no order.
_FEW_LEVELS = 8


class BudgetSpent(Exception):
    """The next renders would be more than are allowed."""


class Objective:
    """The loss as a function of the settings. Every point is a candidate: the best one is remembered.

    Args:
        spec, space, host: the effect and where it is rendered.
        audio: `[C, T] float32`: the input.
        loss: the distance to the target of `[C, T - lead]`.
        lead: samples at the beginning that are rendered, so that the effect is in the middle of things, and not compared.
        limit: renders allowed.
        check: called before renders; may raise to stop.

    Attributes:
        emulator: learns from every render of `evaluate` and `residuals`, if there is one.
    """

    def __init__(
        self,
        spec: EffectSpec,
        space: ParameterSpace,
        host: Host,
        audio: Audio,
        loss: FeatureLoss,
        lead: int = 0,
        limit: int = 1_000_000,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.spec, self.space, self.host, self.audio, self.loss, self.lead = spec, space, host, audio, loss, lead
        self.limit, self.check = limit, check
        self.emulator: Emulator | None = None
        self._shared = host.share(audio[None])
        self.renders = 0
        self.best_loss = float("inf")
        self.best_point = space.snap(space.defaults)

    def evaluate(self, points: FloatArray) -> FloatArray:
        """The loss at `points: [N, P]`, `[N] float64`; infinity where the render is not finite."""
        return self.residuals(points, keep=False)[0]

    def residuals(self, points: FloatArray, keep: bool = True) -> tuple[FloatArray, Tensor]:
        """The loss `[N]` at `points: [N, P]`, and the residuals `[N, R]` whose absolute values add up to it."""
        points = self.space.snap(points)
        losses, kept = np.empty(len(points)), list[Tensor]()
        for start in range(0, len(points), _CHUNK):
            chunk = points[start : start + _CHUNK]
            y, finite = self._render(chunk)
            with torch.no_grad():
                # one by one: thrice as fast as all together, whose spectrograms do not fit the processor's cache
                residuals = [self.loss.residuals(item[None, :, self.lead :])[0] for item in y]
                found = torch.stack([r.abs().sum() for r in residuals])
            losses[start : start + len(chunk)] = self._note(chunk, found, finite)
            if self.emulator is not None:
                self.emulator.add(chunk, losses[start : start + len(chunk)], residuals)
            kept += residuals if keep else []
        return losses, torch.stack(kept) if kept else torch.empty(0)

    def problem(self, points: FloatArray, kind: Kind, generator: torch.Generator) -> tuple[Problem, FloatArray]:
        """What an estimator is given at `points: [B, P]`, and the losses there, `[B]`."""
        points = self.space.snap(points)
        y, finite = self._render(points)
        y.requires_grad_()
        with torch.set_grad_enabled(kind == "cotangent"):
            found = self.loss(y[..., self.lead :])
        losses = self._note(points, found, finite)
        point, audio = torch.from_numpy(points), torch.from_numpy(self.audio).expand(len(points), -1, -1)

        def cotangent() -> Tensor:
            with torch.enable_grad():
                again = found if kind == "cotangent" else self.loss(y[..., self.lead :])
            return torch.autograd.grad(again.sum(), y)[0]

        def value() -> Tensor:
            if kind == "loss":
                return torch.from_numpy(np.where(np.isfinite(losses), losses, np.nan))
            assert problem.cotangent is not None
            return (y.detach().double() * problem.cotangent.double()).sum((1, 2))

        def evaluate(probes: Tensor) -> Tensor:
            if kind == "loss":
                values = self.evaluate(probes.flatten(0, 1).numpy())
                return torch.from_numpy(np.where(np.isfinite(values), values, np.nan)).reshape(probes.shape[:2])
            assert problem.cotangent is not None
            self._charge(probes.shape[0] * probes.shape[1])
            arrays = audio.contiguous().numpy(), self.space.snap(probes.numpy()), problem.cotangent.numpy()
            return torch.from_numpy(self.host.probe_batch(self.spec, *arrays))

        problem = Problem(point, self.space, generator, evaluate, value, kind, audio, cotangent)
        return problem, losses

    def agreement(self, points: FloatArray, directions: FloatArray) -> float:
        """How well cotangents foretell the loss: the cosine between predicted and true changes of it.

        Args:
            points: `[B, P]`.
            directions: `[K, P]`: the changes of the settings, as long as a probe's.
        """
        agreements = []
        for point in self.space.snap(points):
            y, finite = self._render(point[None])
            with torch.enable_grad():
                loss = self.loss(y.requires_grad_()[..., self.lead :])
                cotangent = torch.autograd.grad(loss.sum(), y)[0][0]
            here = float(self._note(point[None], loss, finite)[0])
            probes = self.space.snap(np.clip(point + directions, 0.0, 1.0))
            z, heard = self._render(probes)
            with torch.no_grad():
                true = self._note(probes, self.loss(z[..., self.lead :]), heard) - here
                told = ((z - y) * cotangent).double().sum((1, 2)).numpy()
            use = np.isfinite(true) & np.isfinite(told)
            length = float(np.linalg.norm(true[use]) * np.linalg.norm(told[use]))
            if length > 0:
                agreements.append(float(true[use] @ told[use]) / length)
        return float(np.median(agreements)) if agreements else 0.0

    def _charge(self, count: int) -> None:
        self.check()
        if self.renders + count > self.limit:
            raise BudgetSpent
        self.renders += count

    def _render(self, points: FloatArray) -> tuple[Tensor, NDArray[np.bool_]]:
        self._charge(len(points))
        audio, finite = self.host.render_batch(self.spec, self._shared, points[:, None])
        audio[~finite] = 0.0
        return torch.from_numpy(audio[:, 0]), finite[:, 0]

    def _note(self, points: FloatArray, losses: Tensor, finite: NDArray[np.bool_]) -> FloatArray:
        found = np.where(finite, losses.detach().double().numpy(), np.inf)
        found[np.isnan(found)] = np.inf
        if len(found) and found.min() < self.best_loss:
            self.best_loss, self.best_point = float(found.min()), points[int(found.argmin())].copy()
        return found


#: Called after every step with the loss of its best point.
OnStep = Callable[[float], None]


def global_search(objective: Objective, count: int, seed: int, on_step: OnStep) -> tuple[FloatArray, FloatArray]:
    """`count` quasi-random points, and their losses. The first is the middle of the box.

    A. B. Owen, "Scrambling Sobol' and Niederreiter-Xing points", J. Complexity 14(4), 1998.
    """
    space = objective.space
    sobol = torch.quasirandom.SobolEngine(len(space), scramble=True, seed=seed).draw(count, dtype=torch.float64)
    # levels get equal shares of the interval, as rounding would give the outer ones half of one
    steps = space.steps
    levels = np.where(steps > 0, 1.0 / np.where(steps > 0, steps, 1.0) + 1.0, 1.0)
    drawn = sobol.numpy()
    drawn = np.where(steps > 0, np.minimum(np.floor(drawn * levels), levels - 1) * steps, drawn)
    points = space.snap(np.concatenate([np.full((1, len(space)), 0.5), drawn])[:count])
    losses = np.empty(count)
    for start in range(0, count, _CHUNK):
        losses[start : start + _CHUNK] = objective.evaluate(points[start : start + _CHUNK])
        on_step(float(losses[start : start + _CHUNK].min()))
    return points, losses


def distinct(points: FloatArray, losses: FloatArray, count: int, apart: float = 0.1) -> FloatArray:
    """The best of `points: [N, P]` that differ from each other, `[≤ count, P]`: at least one coordinate in `apart · P` steps."""
    chosen: list[FloatArray] = []
    for index in np.argsort(losses, kind="stable"):
        if len(chosen) == count or not np.isfinite(losses[index]):
            break
        if all(np.linalg.norm(points[index] - other) > apart * np.sqrt(points.shape[1]) for other in chosen):
            chosen.append(points[index])
    return np.array(chosen) if chosen else points[:1]


@dataclass
class Emulation:
    """Three renders at a time, at the settings that an emulator proposes.

    Attributes:
        patience: it ends when so many renders in a row have not lowered the best loss that the emulator knows by a hundredth.
        enough: it has converged at this loss.
    """

    patience: int
    enough: float = 0.0

    def run(self, objective: Objective, pursuit: Pursuit, on_step: OnStep) -> None:
        """Until it has converged, or has lost its patience. The objective's emulator must be that of `pursuit`."""
        emulator = pursuit.emulator
        reference, since = emulator.lowest, objective.renders
        while emulator.lowest > self.enough and objective.renders - since < self.patience:
            trials = pursuit.next(3)
            if not len(trials):
                return
            losses = objective.evaluate(trials)
            if emulator.lowest < 0.99 * reference:
                reference, since = emulator.lowest, objective.renders
            on_step(float(losses.min()))


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
