"""Effects in series, as one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.curves import blocks_of, check_table
from blackbox_grad.effects.packing import beside, packed, parted, unpacked
from blackbox_grad.effects.preset_files import preset_names
from blackbox_grad.effects.presets import StoredPreset
from blackbox_grad.effects.protocols import Beside, Closing, Effect, Takes
from blackbox_grad.effects.spec import EffectSpec, chain
from blackbox_grad.parameters.parameter import FloatArray, Parameter
from blackbox_grad.parameters.space import ParameterSpace


class Part(Effect, Protocol):
    """An opened effect with some parameters free."""

    def stored_presets(self, folder: str | None = None) -> list[StoredPreset]:
        """The presets that `presets` makes points of."""
        ...

    @property
    def spec(self) -> EffectSpec:
        """The recipe."""
        ...

    def preset_files(self, suffix: str, name: str, point: ArrayLike) -> dict[str, bytes]:
        """A preset at `point: [P]`."""
        ...


class ChainedEffect(Closing):
    """Effects in series, as one. Notes go to each one that takes them."""

    def __init__(self, effects: Sequence[Part]) -> None:
        self._effects = list(effects)
        self._counts = [len(e.parameters) for e in effects]
        self.name = " | ".join(e.name for e in effects)
        self.sample_rate = effects[0].sample_rate
        self.latency = sum(e.latency for e in effects)
        self.layout = " | ".join(e.layout for e in effects)
        self.takes: Takes = getattr(effects[0], "takes", "audio")
        self._listens = [getattr(e, "beside", "") == "notes" for e in effects]
        self.beside: Beside = "notes" if any(self._listens) else ""
        if self.takes == "notes":
            self.beside = getattr(effects[0], "beside", "")
        self.notes = tuple(f"{e.name}: {note}" for e in effects for note in getattr(e, "notes", ()))
        self.parameters = ParameterSpace(_prefixed(effects))
        own = [getattr(e, "curve_block", 0) for e in effects]
        #: That of the coarsest; 0 if one of them cannot move.
        self.curve_block = max(own) if all(own) else 0

    @property
    def repeatability(self) -> float:
        return max(e.repeatability for e in self._effects)

    def render(self, audio: Audio, point: ArrayLike) -> Audio:
        values = self.parameters.check(point)

        def one(effect: Part, audio: Audio, own: slice) -> Audio:
            return effect.render(audio, values[own])

        return self._in_turn(audio, one)

    def _in_turn(self, audio: Audio, render: Callable[[Part, Audio, slice], Audio]) -> Audio:
        """`render`: of one effect, with its own of the chain's parameters."""
        given, (audio, notes) = audio, parted(audio)
        start = 0
        for k, (effect, count) in enumerate(zip(self._effects, self._counts, strict=True)):
            own = notes if self._listens[k] or (k == 0 and self.takes == "notes") else None
            result = render(effect, audio if own is None else beside(audio, own), slice(start, start + count))
            if k == 0 and notes is None and self.takes == "notes" and any(self._listens) and audio.shape[1]:
                notes = packed(unpacked(audio, self.sample_rate), audio.shape[1], 1, self.sample_rate)
            audio = result if own is None else result[:-1]
            start += count
        return audio if len(audio) == len(given) else np.concatenate([audio, np.zeros_like(audio[:1])])

    def render_curves(self, audio: Audio, values: ArrayLike) -> Audio:
        """Each effect gets the settings at the beginning of each of its own blocks."""
        length = audio.shape[1]
        table = check_table(values, len(self.parameters), length, self.curve_block)

        def one(effect: Part, audio: Audio, own: slice) -> Audio:
            block = getattr(effect, "curve_block", 0)
            columns = np.arange(blocks_of(length, block)) * block // self.curve_block
            result: Audio = effect.render_curves(audio, table[own, columns])  # type: ignore[attr-defined]
            return result

        return self._in_turn(audio, one)

    def stored_presets(self, folder: str | None) -> Iterator[StoredPreset]:
        """Those of each part, which leave the others as they are: "JX10: Fifth Sweep Pad"."""
        start = 0
        for effect, count in zip(self._effects, self._counts, strict=True):
            places = {place: start + k for k, place in enumerate(effect.parameters.free)}
            start += count
            for preset in effect.stored_presets(folder):
                held = [effect.parameters.everything[i].name for i in preset.values if i not in places]
                notes = [f"{effect.name}: {note}" for note in preset.notes]
                notes += [f"{effect.name}: {', '.join(held)}: held in the chain"] * bool(held and preset.name)
                values = {places[i]: value for i, value in preset.values.items() if i in places}
                yield StoredPreset(preset.name and f"{effect.name}: {preset.name}", values, tuple(notes))

    def preset_files(self, suffix: str, name: str, values: FloatArray) -> dict[str, bytes]:
        """A preset of each part, in files of the names that `preset_names` gives."""
        files: dict[str, bytes] = {}
        start = 0
        for part, effect, count in zip(self.preset_names, self._effects, self._counts, strict=True):
            own = effect.preset_files(os.path.splitext(part)[1], name, values[start : start + count])
            files |= {os.path.join(part, file) if file else part: content for file, content in own.items()}
            start += count
        return files

    @property
    def preset_names(self) -> tuple[str, ...]:
        return preset_names(chain(*(effect.spec for effect in self._effects)))

    def close(self) -> None:
        for effect in self._effects:
            effect.close()


def _prefixed(effects: Sequence[Part]) -> Iterator[Parameter]:
    for effect in effects:
        for parameter, default in zip(effect.parameters, effect.parameters.defaults, strict=True):
            yield replace(parameter, name=f"{effect.name}: {parameter.name}", default=float(default))
