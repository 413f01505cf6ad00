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
from blackbox_grad.parameters.rows import Row, rows
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
        moving = set(find_names(curves.parameters, space.names)) if curves.parameters else set(range(len(space)))
        if curves.shape == "linear":
            stepped = [space[i] for i in sorted(moving) if space[i].levels is not None]
            if stepped:
                raise ParameterError(
                    f"parameter {stepped[0].name!r} has {stepped[0].levels} levels and nothing between them, so it cannot move "
                    "in lines; use shape='held', or leave it out of the curves"
                )
        self.parameters = ParameterSpace(self._knots(space, moving))
        self.rows: list[Row] = rows(self.parameters)

    def _knots(self, space: ParameterSpace, moving: set[int]) -> Iterator[Parameter]:
        times, names = self.curves.times.tolist(), self.curves.names
        for i, (parameter, default) in enumerate(zip(space, space.defaults.tolist(), strict=True)):
            parameter = replace(parameter, default=default)
            if i not in moving:
                yield parameter
                continue
            for time, name in zip(times, names, strict=True):
                knot = Knot(parameter.name, time, self.curves.shape)
                yield replace(parameter, name=f"{parameter.name}{name}", knot=knot)

    @property
    def repeatability(self) -> float:
        return self.effect.repeatability

    def table(self, point: ArrayLike, samples: int) -> FloatArray:
        """The settings of the effect in each block of so many samples, `[P, N]`, at a point of the knots."""
        values = self.parameters.check(point)
        count = blocks_of(samples, self.effect.curve_block)
        result = np.empty((len(self.rows), count))
        for row, own in zip(result, self.rows, strict=True):
            row[:] = values[own.start]
        moving = [i for i, own in enumerate(self.rows) if own.moves]
        if moving and count:
            knots = np.stack([values[self.rows[i].places] for i in moving])
            result[moving] = self.curves.at_blocks(knots, count, self.effect.curve_block, self.sample_rate)
        return result

    def render(self, audio: Audio, point: ArrayLike) -> Audio:
        return self.effect.render_curves(audio, self.table(point, audio.shape[1]))

    def stored_presets(self, folder: str | None) -> Iterator[StoredPreset]:
        """Those of the effect, with every knot of a curve at the preset's value."""
        space = self.effect.parameters
        rows_of = dict(zip(space.free, self.rows, strict=True))
        for preset in self.effect.stored_presets(folder):
            held = [space.everything[i].name for i in preset.values if i not in rows_of]
            notes = (*preset.notes, *[f"it also sets {', '.join(held)}, held beside the curves"] * bool(held and preset.name))
            values = {k: value for i, value in preset.values.items() if i in rows_of for k in _knots(rows_of[i])}
            yield StoredPreset(preset.name, values, notes)

    def close(self) -> None:
        self.effect.close()


def _knots(row: Row) -> range:
    return range(row.places.start, row.places.stop)
