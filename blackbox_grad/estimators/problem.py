"""The estimator's input: a scalar function of the parameters for each item of a batch, which it probes at chosen points."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from blackbox_grad.errors import EstimatorError
from blackbox_grad.parameters.parameter import Parameter
from blackbox_grad.parameters.space import ParameterSpace

#: `[K, B, P] -> [K, B]`
Probe: TypeAlias = Callable[[Tensor], Tensor]

#: `[K, B, P] -> [K, B], [K, B, C, T]`
ProbeSounds: TypeAlias = Callable[[Tensor], tuple[Tensor, Tensor]]

#: `[B, C, T] -> [B]`
LossOf: TypeAlias = Callable[[Tensor], Tensor]

#: `[K, B, P], [S + 1] -> [K, B, S]`
Segments: TypeAlias = Callable[[Tensor, Tensor], Tensor]

#: `f(x: [N, C, T], p: [N, P]) -> [N, C, T]`
Render: TypeAlias = Callable[[Tensor, Tensor], Tensor]

#: What a probe evaluates.
ProbeKind: TypeAlias = Literal["cotangent", "loss"]


@dataclass
class ProblemEffect:
    """The effect behind the function, for estimators that look at audio.

    Attributes:
        input: `x: [B, C, T]`.
        output: `f(x, point): [B, C, T]`, known from the forward render; NaN in items where the effect gave NaN or infinity.
        find_cotangent: what `cotangent` calls.
        render: what the effect makes of other audio: `[N, C, T], [N, P] -> [N, C, T]`, any `N` and `T`, the `C` of `input`. Each
            of the `N` items is one render; an item is NaN where the effect gave NaN or infinity.
        sample_rate: Hz; None if nobody knows it.
        find_segments: what `Problem.probe_segments` calls; None where probes cannot be taken apart.
    """

    input: Tensor
    output: Tensor = field(repr=False)
    find_cotangent: Callable[[], Tensor] = field(repr=False)
    render: Render = field(repr=False)
    sample_rate: float | None = None
    find_segments: Segments | None = field(default=None, repr=False)

    @functools.cached_property
    def cotangent(self) -> Tensor:
        """`ȳ: [B, C, T]`; for a loss probe the gradient of the loss at the forward render."""
        return self.find_cotangent()

    def products(self, bounds: Tensor) -> Tensor:
        """`⟨ȳ, f(x, point)⟩` of each segment, `[S + 1] -> [B, S]`, from the forward render."""
        return segments_of(self.output, self.cotangent, bounds)


@dataclass
class ProblemLoss:
    """The loss behind the function, where the loss itself is probed.

    Attributes:
        target: `[B, C, T]`: what the loss compares the output with; None where it was given no such recording.
        targets: all that the loss was given, `[B, …]`, the target among them.
        of: the loss of any sounds, `[B, C, T] -> [B]`; costs no render.
        find_sounds: what `Problem.probe_sounds` calls.
    """

    target: Tensor | None
    targets: tuple[Tensor, ...] = field(repr=False)
    of: LossOf = field(repr=False)
    find_sounds: ProbeSounds = field(repr=False)


@dataclass
class Problem:
    """Find the gradient of `φ` at `point`, for each item of the batch.

    `φ` is either the *cotangent probe* `φ(p) = ⟨ȳ, f(x, p)⟩`, whose gradient is the vector-Jacobian product, or the *loss probe*
    `φ(p) = L(f(x, p))`. An estimator need not know which.

    Attributes:
        point: `[B, P] float64` in [0, 1], stepped parameters at a level.
        space: names, kinds and steps of the `P` parameters.
        generator: the only source of randomness. It is seeded, so an estimate is repeatable.
        evaluate, find_value: what `probe` and `value` call.
        effect: the effect behind `φ`; None for a plain function.
        loss: the loss behind `φ`; None for cotangent probes.
        probes: counts the probes of each item made so far.
        seen: their values, `[K, B]` each time.
    """

    point: Tensor
    space: ParameterSpace
    generator: torch.Generator
    evaluate: Probe = field(repr=False)
    find_value: Callable[[], Tensor] = field(repr=False)
    effect: ProblemEffect | None = None
    loss: ProblemLoss | None = None
    probes: int = 0
    seen: list[Tensor] = field(default_factory=list, repr=False)

    @property
    def batch(self) -> int:
        """`B`."""
        return self.point.shape[0]

    @property
    def count(self) -> int:
        """`P`."""
        return self.point.shape[1]

    @functools.cached_property
    def value(self) -> Tensor:
        """`[B] float64`: `φ(point)`, known from the forward render, so it costs no render.

        Of an effect that is not repeatable it is the mean of several, which are rendered when it is first asked for.
        """
        return self.find_value()

    def probe(self, points: Tensor) -> Tensor:
        """`φ` at `points: [K, B, P] in [0, 1]` -> `[K, B] float64`; NaN where the effect gave NaN or infinity.

        Each of the `K·B` values is one render. A NaN is to be left out of the estimate.
        """
        points = self._counted(points)
        values = self.evaluate(points) if len(points) else points.new_zeros(0, self.batch)
        self.seen.append(values)
        return values

    def probe_segments(self, points: Tensor, bounds: Tensor) -> Tensor:
        """Cotangent probes in segments of the audio: `⟨ȳ, f(x, p)⟩` from sample `bounds[s]` to `bounds[s + 1]`.

        They are cotangent probes also where the loss is probed: their differences are those of the loss for small steps only.

        Args:
            points: `[K, B, P] in [0, 1]`.
            bounds: `[S + 1] int64`, samples, in order.

        Returns:
            `[K, B, S] float64`, from `K·B` renders; NaN where the effect gave NaN or infinity.
        """
        if self.effect is None or self.effect.find_segments is None:
            raise EstimatorError("the probes of this problem have no segments: there is no effect behind it")
        points = self._counted(points)
        if not len(points):
            return points.new_zeros(0, self.batch, len(bounds) - 1)
        parts = self.effect.find_segments(points, bounds)
        if self.loss is None:
            self.seen.append(parts.sum(dim=-1))
        return parts

    @property
    def flat(self) -> bool:
        """Whether no probe differs from `value`, those that are not finite aside."""
        values = torch.cat([self.value.cpu().double()[None], *(values.cpu().double() for values in self.seen)])
        return bool(((values == values[0]) | ~torch.isfinite(values)).all())

    def probe_sounds(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """`probe`, and the renders themselves: `[K, B, P] -> [K, B], [K, B, C, T]`. Only for loss probes."""
        if self.loss is None:
            raise EstimatorError(
                "the sounds of probes are known where the loss is probed; use layer.loss(x, p, loss_fn, target)"
            )
        points = self._counted(points)
        if not len(points):
            output = points.new_zeros(0) if self.effect is None else self.effect.output
            return points.new_zeros(0, self.batch), output.new_zeros(0, *output.shape)
        values, sounds = self.loss.find_sounds(points)
        self.seen.append(values)
        return values, sounds

    def _counted(self, points: Tensor) -> Tensor:
        """Probe points, checked and counted."""
        points = points.detach().to("cpu", torch.float64)
        if points.ndim != 3 or points.shape[1:] != self.point.shape:
            raise EstimatorError(f"probe points must have the shape [K, {self.batch}, {self.count}], got {list(points.shape)}")
        outside = ~((points >= 0.0) & (points <= 1.0))
        if outside.any():
            k, b, i = (int(v) for v in outside.nonzero()[0])
            raise EstimatorError(
                f"probe {k} of item {b} has {self.space[i].name!r} = {float(points[k, b, i]):g}, outside [0, 1]; "
                "blackbox_grad.estimators.reach() gives steps that stay inside"
            )
        self.probes += points.shape[0]
        return points

    def along(self, names: Sequence[str]) -> Problem:
        """The same function of the named parameters alone, the others held at `point`. Its probes count here, too.

        Other audio cannot be rendered with it.
        """
        indices = [self.space.index(name) for name in names]

        def whole(points: Tensor) -> Tensor:
            full = self.point.expand(len(points), -1, -1).clone()
            full[..., indices] = points
            return full

        loss = self.loss
        return replace(
            self,
            point=self.point[:, indices],
            space=self.space.select(names),
            evaluate=lambda points: self.probe(whole(points)),
            find_value=lambda: self.value,
            effect=None if self.effect is None else replace(self.effect, render=_no_render, find_segments=None),
            loss=None if loss is None else replace(loss, find_sounds=lambda points: self.probe_sounds(whole(points))),
            probes=0,
            seen=[],
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
    def of_effect(
        cls,
        effect: Render,
        audio: Tensor,
        point: Tensor,
        cotangent: Tensor,
        seed: int = 0,
        space: ParameterSpace | None = None,
        sample_rate: float | None = None,
    ) -> Problem:
        """A problem with an effect written in torch, to try an estimator on that looks at audio, or at segments of it.

        Args:
            effect: `f(x: [B, C, T], p: [B, P]) -> [B, C, T]`.
            audio: `x: [B, C, T]`.
            point: `[B, P]` in [0, 1].
            cotangent: `ȳ: [B, C, T]`.
            seed: of the generator.
            space: kinds of the parameters; all continuous by default.
            sample_rate: Hz, if it matters.

        >>> x, p, weight = torch.ones(1, 1, 8), torch.tensor([[0.5]]), torch.ones(1, 1, 8)
        >>> Problem.of_effect(lambda x, p: x * p[:, :, None], x, p, weight).value
        tensor([4.], dtype=torch.float64)
        """

        def render(x: Tensor, p: Tensor) -> Tensor:
            return effect(x, p).detach()

        def product(p: Tensor) -> Tensor:
            return (render(audio, p).double() * cotangent.double()).sum((-2, -1))

        def segments(points: Tensor, bounds: Tensor) -> Tensor:
            return torch.stack([segments_of(render(audio, p), cotangent, bounds) for p in points])

        problem = cls.of_function(lambda points: torch.stack([product(p) for p in points]), point, space, seed)
        known = render(audio, problem.point)
        return replace(problem, effect=ProblemEffect(audio, known, lambda: cotangent, render, sample_rate, segments))


def segments_of(output: Tensor, cotangent: Tensor, bounds: Tensor) -> Tensor:
    """`⟨ȳ, y⟩` of each segment: two `[B, C, T]`, `[S + 1] -> [B, S] float64`."""
    y, weights = (audio.detach().cpu().double() for audio in (output, cotangent))
    sums = torch.nn.functional.pad((y * weights).sum(dim=1).cumsum(dim=1), (1, 0))
    return sums[:, bounds].diff(dim=1)


def _no_render(audio: Tensor, points: Tensor) -> Tensor:
    raise EstimatorError("a problem of some parameters alone renders no other audio; render with the whole problem")
