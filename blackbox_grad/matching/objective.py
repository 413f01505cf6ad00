"""The loss as a function of the settings: counted, limited, and with the best settings remembered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.losses.base import FeatureLoss
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.search.emulator import Emulator

Kind = Literal["loss", "cotangent"]


#: Renders whose audio is in memory at once.
_CHUNK = 16


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
