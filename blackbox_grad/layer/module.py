"""`DifferentiableEffect`: an effect as an ordinary differentiable torch module.

Autograd, `torch.compile`, autocast and devices treat the plug-in like any other operation. The plug-in runs in a host, so
autograd may call from any thread.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional

from blackbox_grad.effects.first_look import warn_of_dead
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.presets import Presets
from blackbox_grad.effects.spec import AnyEffect, EffectSpec, as_spec
from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.base import Estimator
from blackbox_grad.estimators.by_name import estimator as find_estimator
from blackbox_grad.estimators.straight_through import StraightThrough
from blackbox_grad.hosts.answering import presets_in, save_preset_in
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.layer.loss_function import LossFunction, LossPerItem, expanded
from blackbox_grad.layer.operators import EstimatedLoss, LossMode, Rendered, draw_seed, register, render, seeded
from blackbox_grad.layer.renderer import DEFAULT_ESTIMATOR, OnNonfinite, Renderer, check_on_nonfinite
from blackbox_grad.layer.sound_of_notes import AnyNotes, Sound, with_notes
from blackbox_grad.parameters.space import ParameterSpace, Selection
from blackbox_grad.torch_state import state_as_now


class DifferentiableEffect(nn.Module):
    """`y = layer(x, p)`: an audio effect, or an instrument, with a gradient for its parameters.

    Args:
        effect: an address ("pedalboard:ZamTube.vst3", "dawdreamer:http://drobilla.net/plugins/mda/Delay", a chain `a | b`),
            or an `EffectSpec`, which has its own `sample_rate`, `parameters` and `fixed`, as has what `load` opened. `Automated`
            makes settings move.
        sample_rate: Hz.
        parameters: the free parameters, in the order of `p`: names, "continuous" (default), "audible" (the continuous ones that
            change the sound while the others are held), "trainable" or "all".
        fixed: values of other parameters, by name: normalised, or text with a unit ("350 ms").
        estimator: of the gradient of the parameters: an `Estimator`, or its name with options ("spsa:samples=4,step=0.05");
            by default `Auto()`, with two probes of each item, right on average.
        audio_gradient: for `x`, if it requires a gradient: "none" (no gradient; the default, with a warning), "straight-through"
            (the effect counts as the identity), "lti" (exact for effects that are linear and time-invariant, an error for
            others), or an estimator whose `Estimate.audio` is taken, such as `StraightThrough(surrogate)`.
        host: where effects are rendered: a `Host`, or its name with options ("processes:hosts=4", "in-process"); by default the
            pool of processes that all modules share.
        on_nonfinite: what to do when a forward render holds NaN or infinity: "raise" `NonFiniteAudioError`, or put "silence" in
            its place (its gradient is then 0).
        averages: renders of which the mean counts as one probe of the estimator; by default 1, and 8 for a plug-in that is not
            repeatable: its equal renders differ by more than a tenth of their size.
        options: for the backend (`preset=…`).

    The module has no weights and nothing in its `state_dict`. It can be pickled and deep-copied: the recipe travels, and the copy
    renders in the shared pool of the process it arrives in; in a new pool of its own if it was given one and was pickled.
    Randomness comes from torch's default CPU generator, so `torch.manual_seed` makes a run with a new module repeatable. What the
    default estimator remembers is part of the module, as far as copies go, and not of its `state_dict`.

    Attributes:
        renderer: what renders and estimates, without torch's module around it.
    """

    def __init__(
        self,
        effect: AnyEffect,
        sample_rate: float = 44100.0,
        *,
        parameters: Selection = "continuous",
        fixed: Mapping[str, float | str] | None = None,
        estimator: str | Estimator = DEFAULT_ESTIMATOR,
        audio_gradient: str | Estimator | None = None,
        host: str | Host | None = None,
        on_nonfinite: OnNonfinite = "raise",
        averages: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        spec = as_spec(effect, sample_rate, parameters, fixed, **options)
        self.renderer = Renderer(spec, host, estimator, audio_gradient, on_nonfinite, averages)
        warn_of_dead(self.info.spec, len(self.parameter_space))
        self._warned = audio_gradient is not None
        self._handle = register(self.renderer)

    @property
    def spec(self) -> EffectSpec:
        """The recipe of the effect."""
        return self.renderer.spec

    @property
    def info(self) -> EffectInfo:
        """Name, parameters, latency, repeatability, layout."""
        return self.renderer.info

    @property
    def host(self) -> Host:
        """Where this module renders."""
        return self.renderer.host

    @property
    def parameter_space(self) -> ParameterSpace:
        """Names, kinds, defaults and units of the `P` free parameters."""
        return self.renderer.space

    @property
    def estimator(self) -> Estimator:
        """Of the gradient of the parameters; the default remembers which of them matter."""
        return self.renderer.estimator

    @estimator.setter
    def estimator(self, estimator: str | Estimator) -> None:
        self.renderer.estimator = find_estimator(estimator, self.spec)

    @property
    def audio_gradient(self) -> Estimator | None:
        """Of the gradient of the audio; None for none."""
        return self.renderer.audio_gradient

    @audio_gradient.setter
    def audio_gradient(self, estimator: str | Estimator | None) -> None:
        self.renderer.audio_gradient = None if estimator in (None, "none") else find_estimator(estimator)

    @property
    def on_nonfinite(self) -> OnNonfinite:
        """What to do when a forward render holds NaN or infinity: "raise", or put "silence" in its place."""
        return self.renderer.on_nonfinite

    @on_nonfinite.setter
    def on_nonfinite(self, choice: OnNonfinite) -> None:
        self.renderer.on_nonfinite = check_on_nonfinite(choice)

    @property
    def nonfinite(self) -> int:
        """Forward renders with NaN or infinity so far, and probes left out of estimates."""
        return self.renderer.nonfinite

    @nonfinite.setter
    def nonfinite(self, count: int) -> None:
        self.renderer.nonfinite = count

    if TYPE_CHECKING:

        def __call__(self, x: Sound, p: Tensor, notes: AnyNotes | None = None) -> Tensor: ...

    def presets(self, folder: str | os.PathLike[str] | None = None) -> Presets:
        """The plug-in's factory presets, or those of a folder, as points `p: [P]` of the layer; see `SelectedEffect.presets`."""
        return presets_in(self.host, self.spec, folder)

    def save_preset(self, path: str | os.PathLike[str], p: ArrayLike | Tensor, *, name: str | None = None) -> Path:
        """Write settings `p: [P]` as a preset that a DAW loads; see `SelectedEffect.save_preset`."""
        point = p.detach().cpu().double().numpy() if isinstance(p, Tensor) else p
        return save_preset_in(self.host, self.spec, path, point, name=name)

    def extra_repr(self) -> str:
        return f"{self.spec.address!r}, parameters={list(self.parameter_space.names)}, estimator={self.estimator!r}"

    def forward(self, x: Sound, p: Tensor, notes: AnyNotes | None = None) -> Tensor:
        """Render.

        Args:
            x: audio `[B, C, T]`, any floating type and device. `B` may be 1 for one recording at several settings. An instrument
                takes `Notes`, or a list of `B` of them: rendered in stereo, as long as the longest asks for.
            p: parameters `[B, P]` in [0, 1]. `B` may be 1 for several recordings at one setting. For `Automated` it may be
                `[B, controls, M]`, the knots of each control's curve; of a control that does not move, the mean of its `M` values
                counts.
            notes: beside the audio, for an effect that listens to MIDI or an instrument with audio inputs (`info.beside`):
                `Notes`, or a list of `B` of them. Without notes such an effect plays as without MIDI.

        Returns:
            `[B, C, T]` on the device of `x`, in its type (of notes: `float32`, where `p` is); rendered in float32, also
            under autocast.

        Raises:
            AudioError, ParameterError: wrong shapes, types or values.
            NonFiniteAudioError: the effect returned NaN or infinity.
            RenderError: the effect failed, or took too long.
        """
        dtype = x.dtype if isinstance(x, Tensor) else torch.float32
        x, p = self.renderer.check(self._with(notes, _differentiable(x)), _differentiable(p))
        y = render(self.renderer, self._handle, x, p, self._needs_seed(x, p))
        return y if notes is None else y[:, :-1].to(dtype)

    def _with(self, notes: AnyNotes | None, x: Sound) -> Sound:
        """`x` with the notes in a channel of their own, which comes back silent."""
        if notes is None:
            return x
        if self.audio_gradient is not None and not isinstance(self.audio_gradient, StraightThrough):
            raise EstimatorError(
                f"{self.spec.address}: audio_gradient={self.audio_gradient!r} has no notes beside the audio; choose "
                "'straight-through' or 'none'"
            )
        both: Tensor = with_notes(self.info, x, notes)
        return both

    def loss(
        self,
        x: Sound,
        p: Tensor,
        loss_fn: LossFunction,
        *targets: Tensor,
        notes: AnyNotes | None = None,
    ) -> Tensor:
        """`loss_fn(layer(x, p), *targets)`, its gradient estimated from differences of the *loss itself*.

        Where a parameter moves phase (delay times, oscillators), a vector-Jacobian product at the current waveform says almost
        nothing, and the loss after a larger step does. A probe costs one evaluation of the loss.

        Args:
            x, p: as for `forward`.
            loss_fn: `loss_fn(y, *targets)` -> `[B]`, one loss an item. One that returns a single number (the mean over its
                batch, as most do) is called for one item at a time.
            targets: tensors `[B, …]` for `loss_fn`.
            notes: as for `forward`.

        Returns:
            The mean over the batch, a scalar. It carries estimated gradients for `p`, and exact ones for the targets and weights
            inside `loss_fn`. `x` gets what `audio_gradient` says. `torch.compile` leaves it as it is.
        """
        estimated: Tensor = torch.compiler.disable(self._loss)(x, p, loss_fn, *targets, notes=notes)
        return estimated

    def _loss(self, x: Sound, p: Tensor, loss_fn: LossFunction, *targets: Tensor, notes: AnyNotes | None = None) -> Tensor:
        x, p = self.renderer.check(self._with(notes, _differentiable(x)), _differentiable(p))
        if notes is not None:
            loss_fn = _without_notes(loss_fn)
        targets = tuple(expanded(_differentiable(t), x.shape[0]) for t in targets)
        sound = x.detach(), p.detach(), self.renderer, self._needs_seed(x, p)
        y, finite, seed, kept, audio = Rendered.apply(*sound)  # type: ignore[no-untyped-call]
        mode = LossMode(self.renderer, LossPerItem(loss_fn), state_as_now(x.device))
        losses = mode.losses(y, *targets)
        of_sound = losses.detach(), kept, finite, seed, *(t.detach() for t in targets)
        estimated = EstimatedLoss.apply(x, p, *of_sound, audio, mode)  # type: ignore[no-untyped-call]
        # the values of `losses` and its exact gradients for targets and weights, with the estimated ones for x and p
        return torch.mean(losses + (estimated - estimated.detach()))

    def estimate(
        self,
        x: Sound,
        p: Tensor,
        cotangent: Tensor,
        y: Tensor | None = None,
        seed: int | None = None,
        notes: AnyNotes | None = None,
    ) -> Tensor:
        """The vector-Jacobian product `ȳᵀ ∂f/∂p`, `[B, P]`, without autograd.

        Args:
            x, p: as for `forward`.
            cotangent: `ȳ: [B, C, T]`.
            y: `f(x, p)`, where it is known already; rendered otherwise.
            seed: of the estimator's randomness; from torch's default generator otherwise.
            notes: as for `forward`.
        """
        renderer = self.renderer
        x, p = renderer.check(self._with(notes, x.detach() if isinstance(x, Tensor) else x), p.detach())
        if notes is not None:
            cotangent = functional.pad(cotangent, (0, 0, 0, 1))
            y = None if y is None else functional.pad(y, (0, 0, 0, 1))
        audio = renderer.share(x)
        y, finite = renderer.render(x, p, audio) if y is None else (y, torch.ones(x.shape[0], dtype=torch.bool, device="cpu"))
        generator = seeded(draw_seed() if seed is None else torch.tensor(seed, device="cpu"))
        problem = renderer.cotangent_problem(x, p, y, finite, lambda: cotangent, generator, audio)
        gradient = renderer.gradients(problem, x, p, finite)[1]
        assert gradient is not None
        return gradient

    def _needs_seed(self, x: Tensor, p: Tensor) -> bool:
        """Whether a gradient may be asked for: only then is torch's random state touched."""
        if not torch.is_grad_enabled():
            return False
        renderer = self.renderer
        if x.requires_grad and renderer.audio_gradient is None and not self._warned and not torch.compiler.is_compiling():
            self._warned = True
            warnings.warn(
                f"{self.spec.address}: x requires a gradient, and none flows through the effect: what comes before it does not "
                "learn. Choose audio_gradient='lti' (filters, delays, reverbs), 'straight-through' or an estimator, or 'none' if "
                "that is meant; effects in series are one effect with chain(…)",
                stacklevel=4,
            )
        return x.requires_grad or p.requires_grad

    # copies: the recipe travels, the host does not

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_handle"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        nn.Module.__setstate__(self, state)
        self._handle = register(self.renderer)

    def __deepcopy__(self, memo: dict[int, Any]) -> DifferentiableEffect:
        duplicate = type(self).__new__(type(self))
        memo[id(self)] = duplicate
        memo[id(self.renderer.own_host)] = self.renderer.own_host
        duplicate.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return duplicate


def _without_notes(loss_fn: LossFunction) -> LossFunction:
    """The loss of renders whose last channel stands for notes."""
    return lambda y, *targets: loss_fn(y[:, :-1], *targets)


def _differentiable(tensor: Any) -> Any:
    """A tensor that was made in inference mode cannot be kept for the way back; a copy can."""
    if torch.compiler.is_compiling() or not isinstance(tensor, Tensor) or torch.is_inference_mode_enabled():
        return tensor
    return tensor.clone() if tensor.is_inference() else tensor
