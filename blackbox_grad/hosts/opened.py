"""The effects that one host holds open."""

from __future__ import annotations

from collections import OrderedDict

from blackbox_grad.effects.opening import SelectedEffect, load
from blackbox_grad.effects.spec import EffectSpec

#: Effects that a host keeps open at once; it closes the least recently used first.
MOST_OPEN = 16


class OpenedEffects:
    """Opens each effect at its first use, and keeps the `MOST_OPEN` used last, by the key of their specs."""

    def __init__(self) -> None:
        self._effects: OrderedDict[str, SelectedEffect] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._effects

    def get(self, key: str, spec: EffectSpec) -> SelectedEffect:
        if key not in self._effects:
            while len(self._effects) >= MOST_OPEN:
                self._effects.popitem(last=False)[1].close()
            self._effects[key] = load(spec)
        self._effects.move_to_end(key)
        return self._effects[key]

    def close(self) -> None:
        while self._effects:
            self._effects.popitem()[1].close()
