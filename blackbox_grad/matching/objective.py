"""The loss as a function of the settings: counted, limited, with the best settings remembered. It learns nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.estimators.problem import ProbeKind, Problem
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.layer.renderer import Renderer
from blackbox_grad.losses.base import FeatureLoss
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.search.base import Found

#: Renders whose audio is in memory at once.
CHUNK = 16


class BudgetSpent(Exception):
    """The next renders would be more than are allowed."""


class Objective:
    """The loss as a function of the settings. The best settings whose loss was computed are remembered.

    Args:
        spec: the effect.
        host: where it is rendered.
        audio: `[C, T] float32`: the input, or packed notes.
        loss: the distance to the target of `[C, T - lead]`.
        lead: samples at the beginning that are rendered, so that echoes and envelopes are on their way, and not compared.
        limit: renders allowed.

    Attributes:
        best_point, best_loss: the best settings so far, and their loss; infinite before any was finite.
    """

    def __init__(
        self,
        spec: EffectSpec,
        host: Host,
        audio: Audio,
        loss: FeatureLoss,
        lead: int = 0,
        limit: int = 1_000_000,
    ) -> None:
        self._budget = _Budget(host, limit)
        self._renderer = Renderer(spec, self._budget)
        self.loss, self.lead = loss, lead
        self._audio = torch.from_numpy(audio)[None]
        self._shared = host.share(audio[None])
        self.best_loss = float("inf")
        self.best_point = self.space.snap(self.space.defaults)

    @property
    def space(self) -> ParameterSpace:
        return self._renderer.space

    @property
    def sample_rate(self) -> float:
        """Hz."""
        return self._renderer.spec.sample_rate

    @property
    def renders(self) -> int:
        """So far."""
        return self._budget.renders

    @property
    def limit(self) -> int:
        """Renders allowed."""
        return self._budget.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._budget.limit = limit

    @property
    def check(self) -> Callable[[], None]:
        """Called before renders; may raise to stop."""
        return self._budget.check

    @check.setter
    def check(self, check: Callable[[], None]) -> None:
        self._budget.check = check

    @property
    def left(self) -> int:
        """Renders that are still allowed."""
        return self._budget.limit - self._budget.renders

    def settle(self, point: FloatArray, loss: float) -> None:
        """Count these settings as the best, whose loss is known."""
        self.best_point, self.best_loss = point, loss

    def evaluate(self, points: FloatArray) -> Found:
        """At `points: [N, P]`: the losses `[N]`, infinite where a render is not finite, and `N` times the residuals `[R]`."""
        points = self.space.snap(points)
        losses, residuals = np.empty(0), list[Tensor]()
        for chunk in np.split(points, range(CHUNK, len(points), CHUNK)):
            y, finite = self._render(chunk)
            with torch.no_grad():
                # one by one: three times as fast as all together, whose spectrograms do not fit the processor's cache
                found = [self.loss.residuals(item[None, :, self.lead :])[0] for item in y]
                of_chunk = torch.stack([r.abs().sum() for r in found])
            losses, residuals = np.append(losses, self._note(chunk, of_chunk, finite)), [*residuals, *found]
        return losses, residuals

    def sounds(self, points: FloatArray) -> tuple[Tensor, FloatArray]:
        """At `points: [N, P]`: the renders `[N, C, T]`, and the losses `[N]`, infinite where a render is not finite."""
        points = self.space.snap(points)
        y, finite = self._render(points)
        with torch.no_grad():
            losses = torch.stack([self.loss(item[None, :, self.lead :])[0] for item in y])
        return y, self._note(points, losses, finite)

    def problem(self, points: FloatArray, kind: ProbeKind, generator: torch.Generator) -> tuple[Problem, FloatArray]:
        """The estimator's problem at `points: [B, P]`, and the losses there, `[B]`."""
        points = self.space.snap(points)
        y, finite = self._render(points)
        y.requires_grad_()
        with torch.set_grad_enabled(kind == "cotangent"):
            of_y = self.loss(y[..., self.lead :])
        losses = self._note(points, of_y, finite)

        def cotangent() -> Tensor:
            with torch.enable_grad():
                again = of_y if kind == "cotangent" else self.loss(y[..., self.lead :])
            return torch.autograd.grad(again.sum(), y)[0]

        def loss_of(sounds: Tensor) -> Tensor:
            with torch.no_grad():
                return self.loss(sounds[..., self.lead :]).double()

        def evaluate(probes: Tensor) -> Tensor:
            values, _ = self.evaluate(probes.flatten(0, 1).numpy())
            return torch.from_numpy(np.where(np.isfinite(values), values, np.nan)).reshape(probes.shape[:2])

        x, p, output = self._audio.expand(len(points), -1, -1), torch.from_numpy(points), y.detach()
        if kind == "cotangent":
            return self._renderer.cotangent_problem(x, p, output, finite, cotangent, generator), losses
        value = torch.from_numpy(np.where(np.isfinite(losses), losses, np.nan))
        return self._renderer.loss_problem(
            x, p, output, finite, value, loss_of, cotangent, generator, evaluate=evaluate
        ), losses

    def agreement(self, points: FloatArray, directions: FloatArray) -> float:
        """How well cotangents predict the loss: the cosine between predicted and true changes of it.

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
            z, usable = self._render(probes)
            with torch.no_grad():
                true = self._note(probes, self.loss(z[..., self.lead :]), usable) - here
                predicted = ((z - y) * cotangent).double().sum((1, 2)).numpy()
            use = np.isfinite(true) & np.isfinite(predicted)
            length = float(np.linalg.norm(true[use]) * np.linalg.norm(predicted[use]))
            if length > 0:
                agreements.append(float(true[use] @ predicted[use]) / length)
        return float(np.median(agreements)) if agreements else 0.0

    def _render(self, points: FloatArray) -> tuple[Tensor, Tensor]:
        """The one recording at several settings: `[N, C, T]`, and which are finite."""
        y, finite = self._budget.render_batch(self._renderer.spec, self._shared, points[:, None])
        y[~finite] = 0.0
        return torch.from_numpy(y[:, 0]), torch.from_numpy(finite[:, 0])

    def _note(self, points: FloatArray, losses: Tensor, finite: Tensor) -> FloatArray:
        found = np.where(finite.numpy(), losses.detach().double().numpy(), np.inf)
        found[np.isnan(found)] = np.inf
        if len(found) and found.min() < self.best_loss:
            self.best_loss, self.best_point = float(found.min()), points[int(found.argmin())].copy()
        return found


class _Budget:
    """A host that counts what it renders, and stops where there is no more of it."""

    def __init__(self, host: Host, limit: int) -> None:
        self._host, self.limit = host, limit
        self.check: Callable[[], None] = lambda: None
        self.renders = 0

    @property
    def nonfinite(self) -> int:
        """Those of the host, over its life."""
        return self._host.nonfinite

    @nonfinite.setter
    def nonfinite(self, count: int) -> None:
        self._host.nonfinite = count

    def open(self, spec: EffectSpec) -> EffectInfo:
        return self._host.open(spec)

    def share(self, audio: Audio) -> Audio:
        return self._host.share(audio)

    def render_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray) -> tuple[Audio, NDArray[np.bool_]]:
        self._charge(points)
        return self._host.render_batch(spec, audio, points)

    def probe_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray, cotangent: Audio) -> FloatArray:
        self._charge(points)
        return self._host.probe_batch(spec, audio, points, cotangent)

    def close(self) -> None:
        """The host is its owner's."""

    def _charge(self, points: FloatArray) -> None:
        self.check()
        count = int(np.prod(points.shape[:-1]))
        if self.renders + count > self.limit:
            raise BudgetSpent
        self.renders += count
