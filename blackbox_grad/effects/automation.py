"""`Automated`: an effect whose settings move over the audio, each along a curve of `M` knots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.curves import Curves, blocks_of
from blackbox_grad.effects.presets import StoredPreset
from blackbox_grad.effects.protocols import Beside, Closing, Effect, Takes
from blackbox_grad.effects.spec import AnyEffect, EffectSpec, as_spec
from blackbox_grad.errors import EffectLoadError, ParameterError
from blackbox_grad.parameters.knots import Knot, Shape
from blackbox_grad.parameters.names import find_names
from blackbox_grad.parameters.parameter import FloatArray, Parameter
from blackbox_grad.parameters.space import ParameterSpace


class Automated:
    """An effect of whose parameters some move: each of these becomes `M` knots, joined by lines or held.

    It is a recipe like `EffectSpec`, and goes wherever an address goes: `load(Automated(…))`, `DifferentiableEffect(Automated(…))`,
    `match(Automated(…), …)`, `chain(Automated(…), …)`. Each knot is an ordinary parameter there, named "Cutoff @ 0.50 s". A point
    has the effect's free parameters in their order, `M` values in the place of each that moves.

    Knots lie on the audio's time, so that a curve means the same for every recording: at its first sample and then every
    `seconds / (M - 1)`, the last one at `seconds` (held: every `seconds / M`). Audio that is longer keeps the last value; knots
    behind its end are not heard.

    Settings change at the beginning of blocks of `curve_block` samples, which depends on the backend (512 in DawDreamer, 1024 in
    Pedalboard), each to the curve's value there. Where the plug-in reports latency, curves are delayed as much as the audio.

    Args:
        effect: an address, a chain, or a spec, which has its own sample rate, free parameters and fixed values.
        knots: `M`, 2 or more, for each curve.
        parameters: what moves: names and patterns of names. By default all free parameters of the effect.
        seconds: what the curves span: the length of the audio.
        shape: "linear", or "held", which parameters with levels (switches, menus) need.
        sample_rate: Hz.
        fixed: values of other parameters, by name.
        options: for the backend.

    Raises:
        ParameterError: one knot, no such shape; and when it is opened: no such parameter, knots closer than a block, a
            parameter with levels on a linear curve.
    """

    def __init__(
        self,
        effect: AnyEffect,
        knots: int,
        parameters: Sequence[str] | None = None,
        *,
        seconds: float,
        shape: Shape = "linear",
        sample_rate: float = 44100.0,
        fixed: Mapping[str, float | str] | None = None,
        **options: Any,
    ) -> None:
        if isinstance(parameters, str):
            raise ParameterError(f"curves: parameters={parameters!r} must be a list of names; write [{parameters!r}]")
        spec = as_spec(effect, sample_rate, "continuous", fixed, **options)
        if spec.curves is not None:
            raise ParameterError(f"{spec.address}: it has curves already; give the effect without them")
        self.spec = replace(spec, curves=Curves(tuple(parameters or ()), knots, seconds, shape))

    def __repr__(self) -> str:
        curves = self.spec.curves
        assert curves is not None
        names = f", parameters={list(curves.parameters)}" if curves.parameters else ""
        return (
            f"Automated({self.spec.address!r}, knots={curves.knots}{names}, seconds={curves.seconds:g}, shape={curves.shape!r})"
        )


class Moving(Effect, Protocol):
    """An opened effect whose settings may move, and what of it is free."""

    @property
    def spec(self) -> EffectSpec:
        """The recipe."""
        ...

    @property
    def curve_block(self) -> int:
        """Samples between two changes of a setting; 0 if the backend cannot move them."""
        ...

    def render_curves(self, audio: Audio, values: ArrayLike) -> Audio:
        """`audio: [C, T]`, `values: [P, N] in [0, 1]` -> `[C, T]`."""
        ...

    def stored_presets(self, folder: str | None = None) -> list[StoredPreset]:
        """The presets that `presets` makes points of."""
        ...


class AutomatedEffect(Closing):
    """An opened effect of whose free parameters some are curves.

    Args:
        effect: with the parameters free that move, and those that are constant.
        curves: which of them move.
    """

    #: Its parameters are knots; which of the effect's parameters are heard is known of the effect.
    first_look = False

    def __init__(self, effect: Moving, curves: Curves) -> None:
        if not effect.curve_block:
            raise EffectLoadError(f"the settings of {effect.name} cannot move: its backend renders constant settings only")
        curves.check_spacing(effect.curve_block, effect.sample_rate)
        self.effect, self.curves = effect, curves
        self.name, self.sample_rate, self.latency, self.layout = effect.name, effect.sample_rate, effect.latency, effect.layout
        self.takes: Takes = getattr(effect, "takes", "audio")
        self.beside: Beside = getattr(effect, "beside", "")
        self.curve_block = 0  # its parameters are knots: nothing is left to move
        every = f"its settings move every {effect.curve_block} samples ({1000 * effect.curve_block / self.sample_rate:.1f} ms)"
        self.notes: tuple[str, ...] = (*getattr(effect, "notes", ()), every)
        space = effect.parameters
        moving = find_names(curves.parameters, space.names) if curves.parameters else list(range(len(space)))
        if curves.shape == "linear":
            stepped = [space[i] for i in sorted(moving) if space[i].levels is not None]
            if stepped:
                raise ParameterError(
                    f"parameter {stepped[0].name!r} has {stepped[0].levels} levels and nothing between them, so it cannot move "
                    "in lines; use shape='held' (--held), or leave it out of the curves"
                )
        everything, held = list[Parameter](), list[float]()
        self._moving = {space.free[i] for i in moving}
        #: Of each control of the effect, which parameters it has here.
        self._places = list[range]()
        for i, (parameter, value) in enumerate(zip(space.everything, space.held, strict=True)):
            own = list(self._knots(parameter)) if i in self._moving else [parameter]
            self._places.append(range(len(everything), len(everything) + len(own)))
            everything += own
            held += [value] * len(own)
        self._starts = [self._places[i].start for i in space.free]
        free = [k for i in space.free for k in self._places[i]]
        #: All controls of the effect, with knots in the places of those that move; and which of them are free.
        self.parameters = ParameterSpace(everything)
        self.selected = ParameterSpace(everything, free, held)

    def _knots(self, parameter: Parameter) -> Iterator[Parameter]:
        for time, name in zip(self.curves.times.tolist(), self.curves.names, strict=True):
            knot = Knot(parameter.name, time, self.curves.shape)
            yield replace(parameter, name=f"{parameter.name}{name}", knot=knot)

    @property
    def repeatability(self) -> float:
        return self.effect.repeatability

    def table(self, values: FloatArray, samples: int) -> FloatArray:
        """The settings of the effect in each block of so many samples, `[P, N]`, from those of all controls, knots among them."""
        count = blocks_of(samples, self.effect.curve_block)
        result = np.empty((len(self._starts), count))
        moving = [k for k, i in enumerate(self.effect.parameters.free) if i in self._moving]
        result[:] = values[self._starts][:, None]
        if moving and count:
            knots = np.stack([values[self._starts[k] : self._starts[k] + self.curves.knots] for k in moving])
            result[moving] = self.curves.at_blocks(knots, count, self.effect.curve_block, self.sample_rate)
        return result

    def render(self, audio: Audio, point: ArrayLike) -> Audio:
        """`point`: of all controls."""
        return self.effect.render_curves(audio, self.table(self.parameters.check(point), audio.shape[1]))

    def stored_presets(self, folder: str | None) -> Iterator[StoredPreset]:
        """Those of the effect, with every knot of a curve at the preset's value."""
        for preset in self.effect.stored_presets(folder):
            values = {k: value for i, value in preset.values.items() for k in self._places[i]}
            yield StoredPreset(preset.name, values, preset.notes)

    def close(self) -> None:
        self.effect.close()
