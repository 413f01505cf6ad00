"""Presets: the settings that come with a plug-in, or that somebody saved, as points of its space."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from blackbox_grad.errors import EffectLoadError, ParameterError, suggest
from blackbox_grad.parameters.names import plain_name
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

#: Of files with one preset, or a bank of them, and of folders with one. In lower case.
PRESET_SUFFIXES = (".vstpreset", ".fxp", ".fxb", ".lv2")


@dataclass(frozen=True)
class StoredPreset:
    """A preset as a backend reads it.

    Attributes:
        name: for people; empty for a preset that is left out.
        values: position of a parameter among all of the effect -> normalised value.
        notes: what else it sets, or what became of a value; of a preset that is left out, why.
    """

    name: str
    values: Mapping[int, float]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Preset:
    """A preset as a point of the space.

    Attributes:
        name: for people.
        p: `[P] in [0, 1]`: the free parameters; those that the preset does not set are as they start.
        settings: name -> native value, of all parameters that it sets, free or held.
        normalised: the same in [0, 1], as `fixed=` takes them.
        notes: what it sets that the space does not have, and values that were moved into their range, as sentences.
    """

    name: str
    p: FloatArray
    settings: Mapping[str, float]
    normalised: Mapping[str, float]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Preset({self.name!r}, {len(self.settings)} settings)"


class Presets(list[Preset]):
    """Presets in the order of their files.

    Attributes:
        skipped: which were found and left out, and why, as sentences.
    """

    def __init__(self, presets: Iterable[Preset] = (), skipped: Iterable[str] = ()) -> None:
        super().__init__(presets)
        self.skipped = tuple(skipped)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(preset.name for preset in self)

    def named(self, name: str) -> Preset:
        """The preset of this name; case, spaces, dashes and underscores do not matter if it is the only one.

        Raises:
            ParameterError: there is none.
        """
        return self[find_preset(name, self.names)]


def presets_of(stored: Iterable[StoredPreset], space: ParameterSpace) -> Presets:
    """Points of the space, and what was left out. A second preset of one name gets a number: "Lead 2"."""
    found: list[Preset] = []
    skipped: list[str] = []
    taken: set[str] = set()
    for preset in stored:
        if not preset.name:
            skipped += preset.notes
            continue
        name, count = preset.name, 1
        while name in taken:
            count += 1
            name = f"{preset.name} {count}"
        taken.add(name)
        found.append(_point(replace(preset, name=name), space))
    return Presets(found, skipped)


def _point(stored: StoredPreset, space: ParameterSpace) -> Preset:
    values = np.asarray(space.held, dtype=np.float64)
    for position, value in stored.values.items():
        values[position] = space.everything[position].snap(value)
    chosen = {space.everything[i].name: float(values[i]) for i in sorted(stored.values)}
    native = {p.name: p.to_native(chosen[p.name]) for p in space.everything if p.name in chosen}
    return Preset(stored.name, values[np.asarray(space.free, dtype=np.intp)], native, chosen, stored.notes)


def find_preset(name: str, names: tuple[str, ...]) -> int:
    """Position of a preset. Raises `ParameterError` with the nearest names if there is none."""
    if name in names:
        return names.index(name)
    alike = [i for i, known in enumerate(names) if plain_name(known) == plain_name(name)]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise ParameterError(f"preset {name!r} may be {' or '.join(repr(names[i]) for i in alike)}; write one of them exactly")
    if not names:
        raise ParameterError(f"no preset {name!r}: the plug-in has none; name a file, with its suffix ({', '.join(_ONE)})")
    raise ParameterError(f"no preset {name!r}; {suggest(name, names)}")


_ONE = (".vstpreset", ".fxp")


def preset_name(options: Mapping[str, Any]) -> str | None:
    """The name of a preset in an effect's options; None where `preset=` is a file, or is not there."""
    value = options.get("preset")
    if not isinstance(value, str) or not value.strip():
        return None
    is_file = value.lower().endswith(PRESET_SUFFIXES) or os.path.exists(os.path.expanduser(value))
    return None if is_file else value


def starting_from(name: str, stored: Iterable[StoredPreset], space: ParameterSpace) -> tuple[ParameterSpace, tuple[str, ...]]:
    """The same controls, starting from a preset: its values are their defaults. And its notes.

    Raises:
        EffectLoadError: there is no such preset.
    """
    try:
        preset = presets_of(stored, space).named(name)
    except ParameterError as error:
        raise EffectLoadError(str(error)) from None
    values = [preset.normalised.get(p.name, held) for p, held in zip(space.everything, space.held, strict=True)]
    started = (replace(p, default=v) for p, v in zip(space.everything, values, strict=True))
    return ParameterSpace(started, space.free), tuple(f"preset {preset.name!r}: {note}" for note in preset.notes)
