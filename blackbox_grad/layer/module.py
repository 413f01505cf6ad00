"""`DifferentiableEffect`: an effect as an ordinary differentiable torch module.

Autograd, `torch.compile`, autocast and devices treat the plug-in like any other operation. What it does happens in a host, whatever
thread autograd calls from.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec, as_spec
from blackbox_grad.errors import AudioError, EstimatorError, HostError, NonFiniteAudioError, ParameterError
from blackbox_grad.estimators.base import Estimate, Estimator
from blackbox_grad.estimators.by_name import estimator as find_estimator
from blackbox_grad.estimators.problem import Probe, Problem
from blackbox_grad.hosts.default import default_host
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.hosts.rendering import inner_product, setting
from blackbox_grad.layer.loss_function import LossFunction, PerItem, expanded, precision
from blackbox_grad.layer.operators import EstimatedLoss, draw_seed, register, render
from blackbox_grad.parameters.space import ParameterSpace, Selection

OnNonfinite: TypeAlias = Literal["raise", "silence"]


#: Two probes of each item, as many as a pair of classical SPSA.
DEFAULT_ESTIMATOR = "auto"


#: Types of `x` and `p`.
_TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class DifferentiableEffect(nn.Module):
    """`y = layer(x, p)`: an audio effect with a gradient for its parameters.

    Args:
        effect: an address ("pedalboard:ZamTube.vst3", "dawdreamer:http://drobilla.net/plugins/mda/Delay", a chain `a | b`),
            or an `EffectSpec`, which then brings `sample_rate`, `parameters` and `fixed` itself.
        sample_rate: Hz.
        parameters: the free parameters, in the order of `p`: names, "continuous" (default) or "all".
        fixed: values of others, by name: normalised, or text with a unit ("350 ms").
        estimator: of the gradient of the parameters: an `Estimator`, or its name with options ("spsa:samples=4,step=0.05");
            by default `Auto()`, with two probes of each item, right on average.
        audio_gradient: for `x`, if it requires a gradient: "none" (no gradient; the default, with a warning), "straight-through"
            (the effect counts as the identity), "lti" (exact for effects that are linear and time-invariant, an error for
            others), or an estimator whose `Estimate.audio` is taken, such as `StraightThrough(surrogate)`.
        host: where effects are rendered; by default a pool of processes that all modules share.
        on_nonfinite: what to do when a forward render holds NaN or infinity: "raise" `NonFiniteAudioError`, or put "silence" in
            its place (its gradient is then 0).
        options: for the backend (`preset=…`).

    The module has no weights and nothing in its `state_dict`. It can be pickled and deep-copied: the recipe travels, and the copy
    renders in the shared pool of the process it arrives in; in a new pool of its own if it was given one and was pickled.
    Randomness comes from torch's default CPU generator, so `torch.manual_seed` makes a run with a new module repeatable. What the
    default estimator remembers is part of the module, as far as copies go, and not of its `state_dict`.

    Attributes:
        spec: the recipe of the effect.
        estimator: of the gradient of the parameters; the default remembers which of them matter.
        info: name, parameters, latency, repeatability, layout.
        nonfinite: forward renders with NaN or infinity so far, and probes left out of estimates.
    """

    def __init__(
        self,
        effect: str | os.PathLike[str] | EffectSpec,
        sample_rate: float = 44100.0,
        *,
        parameters: Selection = "continuous",
        fixed: Mapping[str, float | str] | None = None,
        estimator: str | Estimator = DEFAULT_ESTIMATOR,
        audio_gradient: str | Estimator | None = None,
        host: Host | None = None,
        on_nonfinite: OnNonfinite = "raise",
        **options: Any,
    ) -> None:
        super().__init__()
        if on_nonfinite not in ("raise", "silence"):
            raise AudioError(f"on_nonfinite={on_nonfinite!r} is unknown; allowed are 'raise' and 'silence'")
        self.spec = as_spec(effect, sample_rate, parameters, fixed, **options)
        self.audio_gradient = None if audio_gradient in (None, "none") else find_estimator(audio_gradient)
        self._warned = audio_gradient is not None
        self.on_nonfinite = on_nonfinite
        self.nonfinite = 0
        if host is not None and not callable(getattr(host, "render_batch", None)):
            raise HostError(f"host={host!r} is no host; give a ProcessPool(…) or InProcessHost(), or leave it out")
        self._host = host
        self.estimator = find_estimator(estimator, self.spec)
        self.info: EffectInfo = self.host.open(self.spec)
        self._handle = register(self)

    @property
    def host(self) -> Host:
        """Where this module renders."""
        return self._host if self._host is not None else default_host()

    @property
    def parameter_space(self) -> ParameterSpace:
        """Names, kinds, defaults and units of the `P` free parameters."""
        return self.info.parameters

    if TYPE_CHECKING:

        def __call__(self, x: Tensor, p: Tensor) -> Tensor: ...

    def extra_repr(self) -> str:
        return f"{self.spec.address!r}, parameters={list(self.parameter_space.names)}, estimator={self.estimator!r}"

    def forward(self, x: Tensor, p: Tensor) -> Tensor:
        """Render.

        Args:
            x: audio `[B, C, T]`, any floating type and device. `B` may be 1 for one recording at several settings.
            p: parameters `[B, P]` in [0, 1]. `B` may be 1 for several recordings at one setting.

        Returns:
            `[B, C, T]` on the device of `x`, in its type; rendered in float32, under autocast too.

        Raises:
            AudioError, ParameterError: wrong shapes, types or values.
            NonFiniteAudioError: the effect returned NaN or infinity.
            RenderError: the effect failed, or took too long.
        """
        x, p = self._check(x, p)
        return render(self, x, p, self._needs_seed(x, p))

    def loss(self, x: Tensor, p: Tensor, loss_fn: LossFunction, *targets: Tensor) -> Tensor:
        """`loss_fn(layer(x, p), *targets)`, its gradient estimated from differences of the *loss itself*.

        Where a parameter moves phase (delay times, oscillators), a vector-Jacobian product at the current waveform says almost
        nothing, and the loss after a larger step does. A probe costs one evaluation of the loss.

        Args:
            x, p: as for `forward`.
            loss_fn: `loss_fn(y, *targets)` -> `[B]`, one loss an item. One that returns a single number (the mean over its
                batch, as most do) is called for one item at a time.
            targets: tensors `[B, …]` for `loss_fn`.

        Returns:
            The mean over the batch, a scalar. It carries estimated gradients for `p`, and exact ones for the targets and weights
            inside `loss_fn`. `x` gets what `audio_gradient` says. `torch.compile` leaves it as it is.
        """
        estimated: Tensor = torch.compiler.disable(self._loss)(x, p, loss_fn, *targets)
        return estimated

    def _loss(self, x: Tensor, p: Tensor, loss_fn: LossFunction, *targets: Tensor) -> Tensor:
        x, p = self._check(x, p)
        targets = tuple(expanded(t, x.shape[0]) for t in targets)
        per_item = PerItem(loss_fn)
        needs_seed = self._needs_seed(x, p)
        audio = self._shared(x)
        with torch.no_grad():
            y, finite = self._forward(x, p, audio)
        seed = draw_seed(needs_seed)  # not before: a render that fails leaves torch's random state alone
        losses = per_item(y, *targets)
        autocast = precision(x.device)  # probes are judged on the way back, where autocast is off, and compared with `losses`

        def judge(heard: Tensor) -> Tensor:
            with torch.no_grad(), autocast():
                found: Tensor = per_item(heard.to(y), *targets).cpu().double()
            return found

        def each(points: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
            for point in points:  # one probe of every item at a time, so memory does not grow with the number of probes
                z, heard = self._render(x, point, audio)
                yield torch.where(heard, judge(z), torch.nan), z

        def evaluate(points: Tensor) -> Tensor:
            return torch.stack([value for value, _ in each(points)])

        def sounds(points: Tensor) -> tuple[Tensor, Tensor]:
            values, heard = zip(*each(points), strict=True)
            return self._counted(torch.stack(values)), torch.stack(heard)

        def cotangent() -> Tensor:
            with torch.enable_grad(), autocast():
                heard = y.detach().requires_grad_()
                gradient: Tensor = torch.autograd.grad(per_item(heard, *targets).sum(), heard)[0]
            return gradient

        value = losses.detach().cpu().double()

        def problem() -> Problem:
            posed = self._problem(x, p, y, finite, lambda: value, cotangent, seed, "loss", evaluate)
            recordings = [t for t in targets if t.shape == y.shape and t.is_floating_point()]
            if not recordings:
                return posed
            given = tuple(t.detach() for t in targets)
            return dataclasses.replace(
                posed, target=recordings[0].detach(), targets=given, find_sounds=sounds, find_losses=judge
            )

        estimated = EstimatedLoss.apply(x, p, losses.detach(), finite, self, problem)  # type: ignore[no-untyped-call]
        # the values of `losses` and its exact gradients for targets and weights, with the estimated ones for x and p
        return torch.mean(losses + (estimated - estimated.detach()))

    def estimate(
        self,
        x: Tensor,
        p: Tensor,
        cotangent: Tensor,
        y: Tensor | None = None,
        seed: int | None = None,
    ) -> Tensor:
        """The vector-Jacobian product `ȳᵀ ∂f/∂p`, `[B, P]`, without autograd.

        Args:
            x, p: as for `forward`.
            cotangent: `ȳ: [B, C, T]`.
            y: `f(x, p)`, where it is known already; rendered otherwise.
            seed: of the estimator's randomness, which is not all where it remembers; from torch's default generator otherwise.
        """
        x, p = self._check(x.detach(), p.detach())
        audio = self._shared(x)
        y, finite = self._render(x, p, audio) if y is None else (y, torch.ones(x.shape[0], dtype=torch.bool))
        number = draw_seed() if seed is None else torch.tensor([seed])
        problem = self._cotangent_problem(x, p, y, finite, cotangent, number, audio)
        gradient = self._gradients(problem, x, p, finite, to_audio=False, to_point=True)[1]
        assert gradient is not None
        return gradient

    # what the operators do

    def _needs_seed(self, x: Tensor, p: Tensor) -> bool:
        """Whether a gradient may be asked for: only then is torch's random state touched."""
        if not torch.is_grad_enabled():
            return False
        if x.requires_grad and self.audio_gradient is None and not self._warned and not torch.compiler.is_compiling():
            self._warned = True
            warnings.warn(
                f"{self.spec.address}: x requires a gradient, and none flows through the effect: what comes before it does not "
                "learn. Choose audio_gradient='lti' (filters, delays, reverbs), 'straight-through' or an estimator, or 'none' if "
                "that is meant; effects in series are one effect with chain(…)",
                stacklevel=4,
            )
        return x.requires_grad or p.requires_grad

    def _check(self, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
        where, count = self.spec.address, len(self.parameter_space)
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
        if p.ndim != 2 or p.shape[1] != count:
            raise ParameterError(
                f"{where}: parameters p must have the shape [B, {count}] ({', '.join(self.parameter_space.names)}), "
                f"got {list(p.shape)}"
            )
        if x.shape[0] != p.shape[0]:
            if 1 not in (x.shape[0], p.shape[0]):
                raise ParameterError(f"{where}: audio has a batch of {x.shape[0]} and parameters one of {p.shape[0]}")
            batch = x.shape[0] * p.shape[0]
            x, p = x.expand(batch, -1, -1), p.expand(batch, -1)
        return x, p

    def _points(self, p: Tensor) -> Tensor:
        """`[…, P]` as float64 on the CPU, in the box, stepped parameters at their levels."""
        space = self.parameter_space
        try:
            return torch.from_numpy(space.snap(space.check(p.detach().to("cpu", torch.float64).numpy())))
        except ParameterError as error:
            raise ParameterError(f"{self.spec.address}: {error}") from None

    def _shared(self, x: Tensor) -> Audio:
        """`x` as float32, where the host can read it."""
        return self.host.share(_audio_array(x))

    def _render(self, x: Tensor, p: Tensor, audio: Audio) -> tuple[Tensor, Tensor]:
        """Audio like `x`, and which items are finite, `[B] bool` on the CPU. Non-finite renders are returned as silence."""
        if x.shape[0] == 0 or x.shape[2] == 0:
            return torch.empty_like(x), torch.ones(x.shape[0], dtype=torch.bool)
        rendered, flags = self.host.render_batch(self.spec, audio, self._points(p).numpy())
        finite = torch.from_numpy(flags)
        self.nonfinite += int((~finite).sum())
        y = torch.from_numpy(rendered)
        if not finite.all():
            y[~finite] = 0.0
        return y.to(x), finite

    def _forward(self, x: Tensor, p: Tensor, audio: Audio) -> tuple[Tensor, Tensor]:
        """The forward render of `x`, which is `shared` as `audio`: `y`, and which items are finite, `[B] bool`."""
        y, finite = self._render(x, p, audio)
        if self.on_nonfinite == "raise" and not finite.all():
            item = int((~finite).nonzero()[0])
            where = setting(self.parameter_space, item, self._points(p)[item].numpy())
            raise NonFiniteAudioError(
                f"{self.spec.address} returned NaN or infinity for {where}. Keep the parameters away from this "
                "setting, or pass on_nonfinite='silence'"
            )
        return y, finite

    def _problem(
        self,
        x: Tensor,
        p: Tensor,
        y: Tensor,
        finite: Tensor,
        value: Callable[[], Tensor],
        cotangent: Callable[[], Tensor],
        seed: Tensor,
        kind: Literal["cotangent", "loss"],
        evaluate: Probe,
    ) -> Problem:
        def counted(points: Tensor) -> Tensor:
            return self._counted(evaluate(points))

        def rendered(audio: Tensor, points: Tensor) -> Tensor:
            return _nan_where_not(*self._render(audio, points, self._shared(audio)))

        def known() -> Tensor:
            return torch.where(finite, value().cpu().double(), torch.nan)  # that of silence says nothing of the effect

        generator = torch.Generator().manual_seed(int(seed))
        output = _nan_where_not(y.detach(), finite)
        return Problem(self._points(p), self.parameter_space, generator, counted, known, kind, x, cotangent, output, rendered)

    def _counted(self, values: Tensor) -> Tensor:
        self.nonfinite += int(torch.isnan(values).sum())
        return values

    def _cotangent_problem(
        self, x: Tensor, p: Tensor, y: Tensor, finite: Tensor, cotangent: Tensor, seed: Tensor, audio: Audio | None = None
    ) -> Problem:
        """Of the vector-Jacobian product at `p`; `audio` is `x`, `shared`, where it still is."""

        @functools.cache
        def weights() -> Audio:
            return self._shared(cotangent)

        @functools.cache
        def heard() -> Audio:
            return self._shared(x) if audio is None else audio

        def evaluate(points: Tensor) -> Tensor:
            return torch.from_numpy(self.host.probe_batch(self.spec, heard(), points.numpy(), weights()))

        def value() -> Tensor:
            with np.errstate(invalid="ignore", over="ignore"):  # a loss that is not finite is no news here
                products = [inner_product(a, b) for a, b in zip(_audio_array(y), weights(), strict=True)]
            return torch.tensor(products, dtype=torch.float64)

        return self._problem(x, p, y, finite, value, lambda: cotangent, seed, "cotangent", evaluate)

    def _gradients(
        self, problem: Problem, x: Tensor, p: Tensor, finite: Tensor, to_audio: bool, to_point: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """Estimates like `x` and `p`, None where none is asked for or made; 0 for items whose render was not finite."""
        audio = gradient = None
        if x.numel() == 0:
            return audio, torch.zeros_like(p)
        estimates: dict[int, Estimate] = {}
        if to_point:
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

    # copies: the recipe travels, the host does not

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_handle"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        nn.Module.__setstate__(self, state)
        self._handle = register(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> DifferentiableEffect:
        duplicate = type(self).__new__(type(self))
        memo[id(self)] = duplicate
        memo[id(self._host)] = self._host
        duplicate.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return duplicate


def _audio_array(x: Tensor) -> Any:
    return x.detach().to("cpu", torch.float32).contiguous().numpy()


def _nan_where_not(y: Tensor, finite: Tensor) -> Tensor:
    """`y` with NaN in the items that are not finite, where a render has put silence."""
    return y if finite.all() else y.masked_fill(~finite[:, None, None].to(y.device), torch.nan)
