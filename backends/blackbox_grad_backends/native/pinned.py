"""Controls that the caller holds at a value. A plug-in may fail at others, so opening it does not move them either."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from blackbox_grad.errors import ParameterError
from blackbox_grad.parameters import ParameterSpace

#: The option of a backend that `takes_fixed`.
FIXED = "fixed"


def pinned(fixed: Mapping[str, Any], parameters: ParameterSpace) -> dict[int, float]:
    """Position among all parameters -> value in [0, 1]. A name that is not there is left to the caller, who raises an error.

    Args:
        fixed: as in `ParameterSpace.select`.
    """
    found: dict[int, float] = {}
    for name, value in fixed.items():
        with suppress(ParameterError):
            chosen = parameters.select("all", {name: value})
            (position,) = set(range(len(parameters.everything))) - set(chosen.free)
            found[position] = float(chosen.held[position])
    return found
