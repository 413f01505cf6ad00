"""The specs that a host keeps. Parent and host each hold one of these, and both forget the same, as they see the same keys."""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

_Value = TypeVar("_Value")

#: Specs that a host keeps. It holds fewer effects open.
MOST_SPECS = 64


class Recent(Generic[_Value]):
    """Values of the keys that were used last.

    Args:
        most: their number.
    """

    def __init__(self, most: int = MOST_SPECS) -> None:
        self._most = most
        self._values: OrderedDict[str, _Value] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> _Value:
        self._values.move_to_end(key)
        return self._values[key]

    def __setitem__(self, key: str, value: _Value) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)
