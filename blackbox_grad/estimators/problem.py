"""What an estimator is given: a scalar function of the parameters for each item of a batch, to be evaluated at chosen points."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor

from blackbox_grad.errors import EstimatorError
from blackbox_grad.parameters.parameter import Parameter
from blackbox_grad.parameters.space import ParameterSpace

#: `[K, B, P] -> [K, B]`
Probe = Callable[[Tensor], Tensor]


#: `[K, B, P] -> [K, B], [K, B, C, T]`
Listen = Callable[[Tensor], tuple[Tensor, Tensor]]


#: `[B, C, T] -> [B]`
Judge = Callable[[Tensor], Tensor]


#: `f(x: [N, C, T], p: [N, P]) -> [N, C, T]`
Render = Callable[[Tensor, Tensor], Tensor]


@dataclass
class Problem:
    """Find the gradient of `φ` at `point`, for each item of the batch.

    `φ` is either the *cotangent probe* `φ(p) = ⟨ȳ, f(x, p)⟩`, whose gradient is the vector-Jacobian product, or the *loss probe*
    `φ(p) = L(f(x, p))`. An estimator need not know which.

    Attributes:
        point: `[B, P] float64` in [0, 1], stepped parameters at a level.
        space: names, kinds and steps of the `P` parameters.
        generator: the only source of randomness; seeded, so an estimate is repeatable, by an estimator that remembers the same.
        kind: which of the two `φ` is.
        audio: `x: [B, C, T]`, where there is audio.
        output: `f(x, point): [B, C, T]`, known from the forward render; NaN in items where the effect gave NaN or infinity.
        target: `[B, C, T]`: what a loss compares the output with, where it was given such a recording.
        targets: all that the loss was given, `[B, …]`, the target among them.
        evaluate, find_value, find_cotangent, find_output, find_sounds, find_losses: what `probe`, `value`, `cotangent`, `render`,
            `listen` and `judge` call.
        probes: counts the probes of each item made so far.
    """

    point: Tensor
    space: ParameterSpace
    generator: torch.Generator
    evaluate: Probe = field(repr=False)
    find_value: Callable[[], Tensor] = field(repr=False)
    kind: Literal["cotangent", "loss"] = "cotangent"
    audio: Tensor | None = None
    find_cotangent: Callable[[], Tensor] | None = field(default=None, repr=False)
    output: Tensor | None = field(default=None, repr=False)
    find_output: Render | None = field(default=None, repr=False)
    target: Tensor | None = field(default=None, repr=False)
    targets: tuple[Tensor, ...] = ()
    find_sounds: Listen | None = field(default=None, repr=False)
    find_losses: Judge | None = field(default=None, repr=False)
    probes: int = 0

    @functools.cached_property
    def value(self) -> Tensor:
        """`[B] float64`: `φ(point)`, known from the forward render, so it costs no render."""
        return self.find_value()

    @functools.cached_property
    def cotangent(self) -> Tensor | None:
        """`ȳ: [B, C, T]`; in loss mode the gradient of the loss at the forward render. None without audio."""
        return None if self.find_cotangent is None else self.find_cotangent()

    @property
    def batch(self) -> int:
        """`B`."""
        return self.point.shape[0]

    @property
    def parameters(self) -> int:
        """`P`."""
        return self.point.shape[1]

    def probe(self, points: Tensor) -> Tensor:
        """`φ` at `points: [K, B, P] in [0, 1]` -> `[K, B] float64`; NaN where the effect gave NaN or infinity.

        Each of the `K·B` values is one render. A NaN is to be left out of the estimate.
        """
        points = self._counted(points)
        return self.evaluate(points) if len(points) else points.new_zeros(0, self.batch)

    def listen(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """`probe`, and what was heard there: `[K, B, P] -> [K, B], [K, B, C, T]`. Only for a loss with a `target`."""
        if self.find_sounds is None:
            raise EstimatorError("this problem's renders cannot be listened to; they can where a loss has a target recording")
        return self.find_sounds(self._counted(points))

    def judge(self, sounds: Tensor) -> Tensor:
        """The loss of sounds that were heard before, `[B, C, T] -> [B]`: no render. Only for a loss with a `target`."""
        if self.find_losses is None:
            raise EstimatorError("this problem cannot judge sounds; it can where a loss has a target recording")
        return self.find_losses(sounds)

    def _counted(self, points: Tensor) -> Tensor:
        """Probe points, checked and counted."""
        points = points.detach().to("cpu", torch.float64)
        if points.ndim != 3 or points.shape[1:] != self.point.shape:
            raise EstimatorError(
                f"probe points must have the shape [K, {self.batch}, {self.parameters}], got {list(points.shape)}"
            )
        outside = ~((points >= 0.0) & (points <= 1.0))
        if outside.any():
            k, b, i = (int(v) for v in outside.nonzero()[0])
            raise EstimatorError(
                f"probe {k} of item {b} has {self.space[i].name!r} = {float(points[k, b, i]):g}, outside [0, 1]; "
                "blackbox_grad.estimators.reach() gives steps that stay inside"
            )
        self.probes += points.shape[0]
        return points

    def render(self, audio: Tensor, points: Tensor) -> Tensor:
        """What the effect makes of other audio: `[N, C, T], [N, P] -> [N, C, T]`, any `N` and `T`, the `C` of `self.audio`.

        Each of the `N` items is one render. An item is NaN where the effect gave NaN or infinity.
        """
        if self.find_output is None:
            raise EstimatorError("this problem has no effect to render with; Problem.of_effect makes one that has")
        return self.find_output(audio, points)

    def along(self, names: Sequence[str]) -> Problem:
        """The same function of the named parameters alone, the others held at `point`. Probes of it count here, too.

        Other audio cannot be rendered with it.
        """
        indices = [self.space.index(name) for name in names]

        def whole(points: Tensor) -> Tensor:
            full = self.point.expand(len(points), -1, -1).clone()
            full[..., indices] = points
            return full

        return replace(
            self,
            point=self.point[:, indices],
            space=self.space.select(names),
            evaluate=lambda points: self.probe(whole(points)),
            find_value=lambda: self.value,
            find_sounds=None if self.find_sounds is None else lambda points: self.listen(whole(points)),
            find_output=None,
            probes=0,
        )

    @classmethod
    def of_function(
        cls,
        function: Callable[[Tensor], Tensor],
        point: Tensor,
        space: ParameterSpace | None = None,
        seed: int = 0,
    ) -> Problem:
        """A problem without an effect, to try an estimator on.

        Args:
            function: `[..., B, P] -> [..., B]`, such as a polynomial.
            point: `[B, P]` in [0, 1].
            space: kinds of the parameters; all continuous by default.
            seed: of the generator.

        >>> problem = Problem.of_function(lambda p: (p**2).sum(-1), torch.tensor([[0.25, 0.5]]))
        >>> problem.probe(torch.tensor([[[0.5, 0.5]]]))
        tensor([[0.5000]], dtype=torch.float64)
        """
        space = space or ParameterSpace([Parameter(f"p{i}") for i in range(point.shape[1])])
        point = torch.from_numpy(space.snap(space.check(point.to(torch.float64).numpy())))
        generator = torch.Generator().manual_seed(seed)

        def evaluate(points: Tensor) -> Tensor:
            return function(points).detach()

        return cls(point, space, generator, evaluate, lambda: evaluate(point[None])[0])

    @classmethod
    def of_effect(cls, effect: Render, audio: Tensor, point: Tensor, cotangent: Tensor, seed: int = 0) -> Problem:
        """A problem with an effect written in torch, to try an estimator of the audio's gradient on.

        Args:
            effect: `f(x: [B, C, T], p: [B, P]) -> [B, C, T]`.
            audio: `x: [B, C, T]`.
            point: `[B, P]` in [0, 1]; all parameters are continuous.
            cotangent: `ȳ: [B, C, T]`.
            seed: of the generator.

        >>> x, p, weight = torch.ones(1, 1, 8), torch.tensor([[0.5]]), torch.ones(1, 1, 8)
        >>> Problem.of_effect(lambda x, p: x * p[:, :, None], x, p, weight).value
        tensor([4.], dtype=torch.float64)
        """

        def render(x: Tensor, p: Tensor) -> Tensor:
            return effect(x, p).detach()

        def product(p: Tensor) -> Tensor:
            return (render(audio, p).double() * cotangent.double()).sum((-2, -1))

        problem = cls.of_function(lambda points: torch.stack([product(p) for p in points]), point, seed=seed)
        return replace(
            problem, audio=audio, find_cotangent=lambda: cotangent, output=render(audio, problem.point), find_output=render
        )
