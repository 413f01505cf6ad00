"""The switches of an effect: held steps and toggles with which parameters are heard that are dead without."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from blackbox_grad.effects.audibility import Ears, Spent
from blackbox_grad.effects.audio import Audio
from blackbox_grad.parameters.space import ParameterSpace

#: Seconds of processor time for the search.
_BUDGET = 1.5

#: Levels of a switch that are tried.
_LEVELS = 4

#: Names listed in one message.
MOST_NAMED = 6


@dataclass(frozen=True)
class Switch:
    """A held control, a setting of it, and the free parameters that are heard with it.

    Attributes:
        name: of the control.
        setting: what `fixed` takes: text ("on"), or a normalised number where the plug-in has no text that can be read back.
        wakes: names of parameters.
    """

    name: str
    setting: str | float
    wakes: tuple[str, ...]

    def __str__(self) -> str:
        text = str(self.setting).lower()
        what = f"turn {text} {self.name!r}" if text in ("on", "off") else f"set {self.name!r} to {self.setting!r}"
        return f"{named(self.wakes)}: {what}"


class Switches:
    """The search of held steps and toggles with which dead parameters are heard."""

    def __init__(self, ears: Ears, dead: Sequence[int], held: Sequence[int]) -> None:
        self.ears, self.space, self.left = ears, ears.space, list(dead)
        self.found: list[Switch] = []
        defaults = self.space.complete(self.space.defaults)
        self.base = inner = defaults.copy()
        rng = np.random.default_rng(2)
        for i in self.space.free:
            if self.space.everything[i].levels is None:
                inner[i] = rng.uniform(0.3, 0.7)
        self._bases = inner, defaults
        kinds: dict[tuple[int, str], list[int]] = {}
        for i in held:
            control = self.space.everything[i]
            if control.levels is not None:
                kinds.setdefault((control.levels, re.sub(r"\d+", "#", control.name)), []).append(i)
        self.kinds = [kinds[kind] for kind in sorted(kinds)]  # toggles first

    def search(self) -> list[Switch]:
        """Each dead parameter is woken by one switch at most. Bands of one kind are tried together before they are tried alone."""
        self.ears.allow(_BUDGET)
        with contextlib.suppress(Spent):
            self._search()
        woken: dict[tuple[str, str | float], tuple[str, ...]] = {}
        for switch in self.found:
            key = switch.name, switch.setting
            woken[key] = woken.get(key, ()) + switch.wakes
        return [Switch(*key, names) for key, names in woken.items()]

    def _search(self) -> None:
        for audio, base in itertools.product((self.ears.short, self.ears.long), self._bases):
            self.base = base
            for kind in self.kinds:
                if not self.left:
                    return
                levels = _other_levels(self.space, kind[0])
                if len(kind) > 1:
                    levels = [level for level in levels if self._wakes_any(kind, level, audio)]
                for i in kind if levels else ():
                    self._try(i, levels, audio)

    def _try(self, i: int, levels: Sequence[float], audio: Audio) -> None:
        """Find what control `i` wakes, and at which of these levels most."""
        woken: dict[float, set[int]] = {}
        for level in levels:
            known = set().union(*woken.values())
            if more := self._woken(i, level, audio, [j for j in self.left if j not in known]):
                woken[level] = more | self._woken(i, level, audio, [j for j in self.left if j in known])
        while woken:
            best = max(woken, key=lambda level: len(woken[level]))
            of_best = woken.pop(best)
            self.found.append(_switch(self.space, i, best, of_best))
            self.left = [j for j in self.left if j not in of_best]
            woken = {level: rest for level, of_level in woken.items() if (rest := of_level - of_best)}

    def _wakes_any(self, controls: Sequence[int], level: float, audio: Audio) -> bool:
        values = self.base.copy()
        values[list(controls)] = level
        try:
            return self.ears.differs_at(values, self.left, audio)
        except Exception:  # a setting that the effect refuses
            return True

    def _woken(self, i: int, level: float, audio: Audio, among: Sequence[int]) -> set[int]:
        """Those `among` the dead that are heard with control `i` at this level; those of the same number are tried first."""
        numbers = set(re.findall(r"\d+", self.space.everything[i].name))
        near = [j for j in among if numbers & set(re.findall(r"\d+", self.space.everything[j].name))]
        values = self.base.copy()
        values[i] = level
        found = set[int]()
        for some in (near, [j for j in among if j not in near]):
            if some:
                with contextlib.suppress(Exception):  # a setting that the effect refuses
                    found |= self.ears.heard(some, values, audio, ways=(0,))
        return found


def _other_levels(space: ParameterSpace, i: int) -> list[float]:
    """Up to `_LEVELS` of the levels of a control but the present one."""
    parameter, now = space.everything[i], space.held[i]
    others = [float(v) for v in np.linspace(0.0, 1.0, parameter.levels or 2) if abs(v - now) > 1e-9]
    return others if len(others) <= _LEVELS else [others[round(k)] for k in np.linspace(0, len(others) - 1, _LEVELS)]


def _switch(space: ParameterSpace, index: int, level: float, woken: Collection[int]) -> Switch:
    parameter = space.everything[index]
    setting: str | float = parameter.text(level)
    try:
        if abs(parameter.parse(str(setting)) - level) > 0.25 * parameter.step:
            setting = level
    except Exception:  # text that cannot be read back
        setting = level
    return Switch(parameter.name, setting, tuple(space.everything[i].name for i in sorted(woken)))


def named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
