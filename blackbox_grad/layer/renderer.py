"""`Renderer`: makes renders, problems and gradients of torch tensors from a spec and a host. It is not an `nn.Module`.

`DifferentiableEffect` and `match` use it, and a front end for another framework begins here.
"""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.effects.switches import named
from blackbox_grad.errors import AudioError, DeadParameterWarning, EstimatorError, NonFiniteAudioError, ParameterError
from blackbox_grad.estimators.base import Estimate, Estimator
from blackbox_grad.estimators.by_name import estimator as find_estimator
from blackbox_grad.estimators.problem import LossOf, Probe, Problem, ProblemEffect, ProblemLoss, segments_of
from blackbox_grad.hosts.by_name import host as find_host
from blackbox_grad.hosts.default import default_host
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.hosts.rendering import inner_product
from blackbox_grad.layer.averages import Averages
from blackbox_grad.layer.sound_of_notes import Sound, as_tensor
from blackbox_grad.parameters.rows import rows
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.torch_state import in_own_work

OnNonfinite: TypeAlias = Literal["raise", "silence"]

#: Two probes of each item, as many as a pair of classical SPSA.
DEFAULT_ESTIMATOR = "auto"

#: Types of `x` and `p`.
_TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def check_on_nonfinite(choice: OnNonfinite) -> OnNonfinite:
    """Raises `AudioError` where there is no such choice."""
    if choice not in ("raise", "silence"):
        raise AudioError(f"on_nonfinite={choice!r} is unknown; allowed are 'raise' and 'silence'")
    return choice


class Renderer:
    """Renders of an effect, and estimates of their gradients.

    Args:
        spec: the recipe of the effect.
        host: where it is rendered, or its name with options; by default the host that everything shares. One that is
            made from a name is closed with this object.
        estimator: of the gradient of the parameters: an `Estimator`, or its name with options.
        audio_gradient: of the gradient of the audio, in the same way; None for none.
        on_nonfinite: what `forward` does with NaN or infinity: "raise" `NonFiniteAudioError`, or put "silence" in its place.
        averages: renders of which the mean is what an estimator sees as one probe; by default 1, and 8 where equal renders differ
            by more than a tenth of their size.

    Attributes:
        info: name, parameters, latency, repeatability, layout.
        nonfinite: forward renders with NaN or infinity so far, and probes left out of estimates.

    All methods may be called from any thread. Tensors may be on any device and of any floating type; renders are float32.
    """

    def __init__(
        self,
        spec: EffectSpec,
        host: str | Host | None = None,
        estimator: str | Estimator = DEFAULT_ESTIMATOR,
        audio_gradient: str | Estimator | None = None,
        on_nonfinite: OnNonfinite = "raise",
        averages: int | None = None,
    ) -> None:
        self.spec = spec
        self.own_host = None if host is None else find_host(host)
        if isinstance(host, str):
            weakref.finalize(self, self.own_host.close)  # type: ignore[union-attr]
        self.audio_gradient = None if audio_gradient in (None, "none") else find_estimator(audio_gradient)
        self.on_nonfinite = check_on_nonfinite(on_nonfinite)
        self.nonfinite = 0
        self._said = False
        self.estimator = find_estimator(estimator, spec)
        self.info: EffectInfo = self.host.open(spec)
        self.averages = Averages(self.info, averages)

    @property
    def host(self) -> Host:
        """Where effects are rendered."""
        return self.own_host if self.own_host is not None else default_host()

    @property
    def space(self) -> ParameterSpace:
        """The `P` free parameters."""
        return self.info.parameters

    def check(self, sound: Sound, p: Tensor) -> tuple[Tensor, Tensor]:
        """Audio or packed notes `[B, C, T]`, and parameters `[B, P]`, of one batch size: a batch of 1 is repeated.

        Of an effect whose settings move, `p` may be `[B, controls, M]`.

        Raises:
            AudioError, ParameterError: wrong shapes or types.
        """
        where, count = self.spec.address, len(self.space)
        x = sound if isinstance(sound, Tensor) and self.info.takes == "audio" else as_tensor(self.info, sound, p)
        for name, tensor, error in (("audio x", x, AudioError), ("parameters p", p, ParameterError)):
            if not isinstance(tensor, Tensor):
                raise error(f"{where}: {name} must be a torch.Tensor, got {type(tensor).__name__}")
            if tensor.dtype not in _TYPES:
                raise error(f"{where}: {name} must be floating point, got {tensor.dtype}; write {name[-1]}.float()")
            if tensor.layout != torch.strided or tensor.is_meta:
                what = "is on the device meta" if tensor.is_meta else f"is {tensor.layout}; write {name[-1]}.to_dense()"
                raise error(f"{where}: {name} must be dense and hold data, and it {what}")
        if x.ndim != 3 or x.shape[1] == 0:
            raise AudioError(f"{where}: audio x must have the shape [B, C, T], got {list(x.shape)}; for mono write x[:, None]")
        p = self._in_a_row(p)
        if p.ndim != 2 or p.shape[1] != count:
            raise ParameterError(
                f"{where}: parameters p must have the shape [B, {count}] ({', '.join(self.space.names)}), got {list(p.shape)}"
            )
        if x.shape[0] != p.shape[0]:
            if 1 not in (x.shape[0], p.shape[0]):
                raise ParameterError(f"{where}: audio has a batch of {x.shape[0]} and parameters one of {p.shape[0]}")
            batch = x.shape[0] * p.shape[0]
            x, p = x.expand(batch, -1, -1), p.expand(batch, -1)
        return x, p

    def _in_a_row(self, p: Tensor) -> Tensor:
        """Curves `[B, controls, M]` as parameters `[B, P]`; a control that is constant gets the mean over its `M` values."""
        curves = self.spec.curves
        if p.ndim != 3 or curves is None:
            return p
        controls = rows(self.space)
        if p.shape[1:] != (len(controls), curves.knots):
            raise ParameterError(
                f"{self.spec.address}: curves p must have the shape [B, {len(controls)}, {curves.knots}] "
                f"({', '.join(row.name for row in controls)}), got {list(p.shape)}"
            )
        return torch.cat([p[:, i] if row.moves else p[:, i].mean(dim=1, keepdim=True) for i, row in enumerate(controls)], dim=1)

    def points(self, p: Tensor) -> Tensor:
        """`[…, P]` as float64 on the CPU, in the box, stepped parameters at their levels."""
        try:
            return torch.from_numpy(self.space.snap(self.space.check(p.detach().to("cpu", torch.float64).numpy())))
        except ParameterError as error:
            raise ParameterError(f"{self.spec.address}: {error}") from None

    @in_own_work
    def share(self, x: Tensor) -> Audio:
        """`x` as float32 in memory that the host can read, so that several renders of it make one copy."""
        return self.host.share(_audio_array(x))

    @in_own_work
    def render(self, x: Tensor, p: Tensor, audio: Audio | None = None) -> tuple[Tensor, Tensor]:
        """`f(x, p)` like `x`, and which items are finite, `[B] bool` on the CPU. An item that is not finite is silence.

        Args:
            x, p: `[B, C, T]` and `[B, P]`, checked.
            audio: `x`, shared, where it is already.
        """
        if x.shape[0] == 0 or x.shape[2] == 0:
            return torch.empty_like(x), torch.ones(x.shape[0], dtype=torch.bool)
        shared = self.share(x) if audio is None else audio
        rendered, flags = self.host.render_batch(self.spec, shared, self.points(p).numpy())
        finite = torch.from_numpy(flags)
        self.nonfinite += int((~finite).sum())
        y = torch.from_numpy(rendered)
        if not finite.all():
            y[~finite] = 0.0
        return y.to(x), finite

    @in_own_work
    def forward(self, x: Tensor, p: Tensor, audio: Audio | None = None) -> tuple[Tensor, Tensor]:
        """`render`, and what `on_nonfinite` asks for."""
        y, finite = self.render(x, p, audio)
        if self.on_nonfinite == "raise" and not finite.all():
            item = int((~finite).nonzero()[0])
            where = self.space.describe(self.points(p)[item].numpy(), item)
            raise NonFiniteAudioError(
                f"{self.spec.address} returned NaN or infinity for {where}. Keep the parameters away from this "
                "setting, or pass on_nonfinite='silence'"
            )
        return y, finite

    @in_own_work
    def cotangent_problem(
        self,
        x: Tensor,
        p: Tensor,
        y: Tensor,
        finite: Tensor,
        cotangent: Callable[[], Tensor],
        generator: torch.Generator,
        audio: Audio | None = None,
    ) -> Problem:
        """The problem for an estimator of the vector-Jacobian product at `p`.

        Args:
            x, p: as for `render`.
            y, finite: what it returned.
            cotangent: gives `ȳ: [B, C, T]`, when it is needed.
            generator: of the estimator's randomness.
            audio: `x`, shared, where it still is.
        """

        cotangent = functools.cache(cotangent)  # a graph can be differentiated once

        @functools.cache
        def weights() -> Audio:
            return self.share(cotangent())

        @functools.cache
        def shared() -> Audio:
            return self.share(x) if audio is None else audio

        def evaluate(points: Tensor) -> Tensor:
            return torch.from_numpy(self.host.probe_batch(self.spec, shared(), points.numpy(), weights()))

        def value() -> Tensor:
            with np.errstate(invalid="ignore", over="ignore"):  # a loss may be not finite here
                products = [inner_product(a, b) for a, b in zip(_audio_array(y), weights(), strict=True)]
            return torch.tensor(products, dtype=torch.float64)

        return self._problem(x, p, y, finite, value, cotangent, generator, evaluate, shared)

    @in_own_work
    def loss_problem(
        self,
        x: Tensor,
        p: Tensor,
        y: Tensor,
        finite: Tensor,
        losses: Tensor,
        loss_of: LossOf,
        cotangent: Callable[[], Tensor],
        generator: torch.Generator,
        targets: tuple[Tensor, ...] = (),
        audio: Audio | None = None,
        evaluate: Probe | None = None,
    ) -> Problem:
        """The problem for an estimator of the gradient of a loss, with probes of the loss itself.

        Args:
            x, p, y, finite, cotangent, generator, audio: as for `cotangent_problem`.
            losses: `[B]`, of `y`.
            loss_of: the loss of any renders, `[B, C, T] -> [B] float64` on the CPU.
            targets: what the loss compares with; the first one of the shape of `y` is the problem's target.
            evaluate: probes, `[K, B, P] -> [K, B]`, for a caller that renders in another way; by default one probe of all items
                at a time.
        """

        @functools.cache
        def shared() -> Audio:
            return self.share(x) if audio is None else audio

        def each(points: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
            for point in points:  # one probe of every item at a time, so memory does not grow with the number of probes
                z, finite = self.render(x, point, shared())
                yield torch.where(finite, loss_of(z), torch.nan), z

        def sounds(points: Tensor) -> tuple[Tensor, Tensor]:
            values, renders = zip(*each(points), strict=True)
            return self._counted(torch.stack(values)), torch.stack(renders)

        def values(points: Tensor) -> Tensor:
            return torch.stack([value for value, _ in each(points)])

        cotangent = functools.cache(cotangent)  # a graph can be differentiated once
        recordings = [t.detach() for t in targets if t.shape == y.shape and t.is_floating_point()]
        part = ProblemLoss(next(iter(recordings), None), tuple(t.detach() for t in targets), loss_of, sounds)
        return self._problem(x, p, y, finite, lambda: losses, cotangent, generator, evaluate or values, shared, part)

    def _problem(
        self,
        x: Tensor,
        p: Tensor,
        y: Tensor,
        finite: Tensor,
        value: Callable[[], Tensor],
        cotangent: Callable[[], Tensor],
        generator: torch.Generator,
        evaluate: Probe,
        shared: Callable[[], Audio],
        loss: ProblemLoss | None = None,
    ) -> Problem:
        def counted(points: Tensor) -> Tensor:
            return self._counted(evaluate(points))

        def rendered(audio: Tensor, points: Tensor) -> Tensor:
            return _nan_where_not(*self.render(audio, points))

        def mean(points: Tensor) -> Tensor:
            return self.averages.probe(counted, points)

        def known() -> Tensor:
            found = torch.where(finite, value().cpu().double(), torch.nan)  # the loss of silence says nothing about the effect
            return self.averages.value(found, counted, self.points(p))

        def segments(points: Tensor, bounds: Tensor) -> Tensor:
            return self._segments(shared(), points, self.share(cotangent()), bounds)

        output = _nan_where_not(y.detach(), finite)
        effect = ProblemEffect(x, output, cotangent, rendered, self.info.sample_rate, segments)
        return Problem(self.points(p), self.space, generator, mean, known, effect, loss)

    def _segments(self, audio: Audio, points: Tensor, cotangent: Audio, bounds: Tensor) -> Tensor:
        """`[K, B, S]`: where the host takes no products of segments, from whole renders, one probe of each item at a time."""
        probe = getattr(self.host, "probe_segments", None)
        if probe is not None:
            parts = torch.from_numpy(probe(self.spec, audio, points.numpy(), cotangent, bounds.numpy()))
        else:
            rendered = (self.host.render_batch(self.spec, audio, point.numpy()) for point in points)
            weights = torch.from_numpy(cotangent)
            parts = torch.stack(
                [segments_of(_nan_where_not(torch.from_numpy(y), torch.from_numpy(f)), weights, bounds) for y, f in rendered]
            )
        self._counted(parts.sum(dim=-1))
        return parts

    def _counted(self, values: Tensor) -> Tensor:
        self.nonfinite += int(torch.isnan(values).sum())
        return values

    @in_own_work
    def gradients(
        self, problem: Problem, x: Tensor, p: Tensor, finite: Tensor, to_audio: bool = False, to_point: bool = True
    ) -> tuple[Tensor | None, Tensor | None]:
        """Estimates like `x` and `p`, None where none is asked for or made; 0 for items whose render was not finite."""
        audio = gradient = None
        if x.numel() == 0:
            return audio, torch.zeros_like(p)
        estimates: dict[int, Estimate] = {}
        if to_point:
            self.averages.say()
            estimates[id(self.estimator)] = estimate = self.estimator.estimate(problem)
            if not isinstance(estimate, Estimate):
                raise EstimatorError(
                    f"{self.estimator!r} returned {type(estimate).__name__}; it must return an Estimate(gradient)"
                )
            found = estimate.gradient
            if found.shape != problem.point.shape:
                raise EstimatorError(
                    f"{self.estimator!r} returned a gradient of shape {list(found.shape)}; it must be "
                    f"[B, P] = {list(problem.point.shape)}"
                )
            found = torch.where(finite[:, None], found.cpu(), 0.0)
            vanished = finite & (found == 0.0).all(dim=1)
            if vanished.any():  # probes that are NaN because the loss is must not look like a minimum
                found[vanished & ~torch.isfinite(problem.value.cpu())] = torch.nan
            self._say_if_flat(problem, x, found, finite)
            gradient = found.to(p)
        if to_audio and self.audio_gradient is not None:
            try:
                estimated = estimates.get(id(self.audio_gradient)) or self.audio_gradient.estimate(problem)
            except EstimatorError as error:
                raise EstimatorError(f"{self.spec.address}: {error}") from error
            if estimated.audio is None:
                raise EstimatorError(
                    f"{self.audio_gradient!r} gives no gradient of the audio; use 'lti', 'straight-through' or 'none'"
                )
            audio = torch.where(finite[:, None, None].to(x.device), estimated.audio.to(x), 0.0)
        return audio, gradient

    def _say_if_flat(self, problem: Problem, x: Tensor, gradient: Tensor, finite: Tensor) -> None:
        """Warn, once, of a gradient that is 0 for all items, unless the loss asked for nothing."""
        if self._said or not problem.probes or gradient.any() or not gradient.numel() or not finite.all() or not problem.flat:
            return
        if problem.loss is None and problem.effect is not None and not problem.effect.cotangent.any():
            return
        self._said = True
        look, count = self.info.look, len(self.space)
        if not x.any():
            cause = "the audio x is silent"
        elif look is not None and look.dead:
            way = f". {look.advice()}" if look.switches else ""
            cause = f"{len(look.dead)} of {count} parameters change nothing ({named(look.dead)}){way}"
        else:
            cause = "every probe gave the same value. A larger step may help, or other settings"
        warnings.warn(f"{self.spec.address}: the gradient is 0 for all items: {cause}", DeadParameterWarning, stacklevel=3)


def _audio_array(x: Tensor) -> Any:
    return x.detach().to("cpu", torch.float32).contiguous().numpy()


def _nan_where_not(y: Tensor, finite: Tensor) -> Tensor:
    """`y` with NaN in the items that are not finite, where a render has put silence."""
    return y if finite.all() else y.masked_fill(~finite[:, None, None].to(y.device), torch.nan)
