"""The effects that one host holds open."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from blackbox_grad.effects.opening import SelectedEffect, open_effect
from blackbox_grad.effects.spec import EffectSpec

#: Effects that a host keeps open at once; it closes the least recently used first.
MOST_OPEN = 16


class OpenedEffects:
    """Opens each effect at its first use, and keeps the `MOST_OPEN` used last, by the key of their specs.

    Args:
        guard: a context for each render of a first look; it may end the process.
    """

    def __init__(self, guard: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        self._guard = guard
        self._effects: OrderedDict[str, SelectedEffect] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._effects

    def get(self, key: str, spec: EffectSpec) -> SelectedEffect:
        if key not in self._effects:
            while len(self._effects) >= MOST_OPEN:
                self._effects.popitem(last=False)[1].close()
            self._effects[key] = open_effect(spec, self._guard)
        self._effects.move_to_end(key)
        return self._effects[key]

    def close(self) -> None:
        while self._effects:
            self._effects.popitem()[1].close()
