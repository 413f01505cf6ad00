"""Programs of VST3 plug-ins, which one of their controls chooses ("Current Program"): choose each, and read the others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from blackbox_grad.effects import StoredPreset
from blackbox_grad.parameters import FloatArray

#: Names of the control that chooses.
_CHOOSES = re.compile(r"^(current[ _])?(program|preset)$", re.IGNORECASE)

#: More programs than this are no list of programs.
_MOST = 1024


def chooses_programs(name: str, steps: int) -> bool:
    """Whether a control of this name and number of steps chooses among programs."""
    return bool(_CHOOSES.match(name.strip())) and 2 <= steps <= _MOST


def stepped_programs(
    steps: int,
    text: Callable[[float], str],
    choose: Callable[[float], None],
    read: Callable[[], Sequence[float]],
    inside: Callable[[int, float], tuple[float, str]],
) -> Iterator[StoredPreset]:
    """Each program, as the values that the plug-in shows after it was chosen.

    Args:
        steps: how many there are.
        text: the name of the one at a value in [0, 1].
        choose: set it, and let the plug-in render.
        read: all parameters of the effect, in the host's values.
        inside: position and host's value -> normalised value in the parameter's range, and what became of it.
    """
    choose(1.0)  # the control starts at the first, whose values the plug-in need not have: choosing it then changes nothing
    for number in range(steps):
        value = number / (steps - 1)
        name = text(value).strip() or f"Program {number + 1}"
        choose(value)
        yield preset_from(name, read(), inside)


def preset_from(
    name: str, values: Sequence[float] | FloatArray, inside: Callable[[int, float], tuple[float, str]]
) -> StoredPreset:
    """A preset that sets every parameter."""
    found = [inside(position, float(value)) for position, value in enumerate(values)]
    return StoredPreset(name, {i: value for i, (value, _) in enumerate(found)}, tuple(note for _, note in found if note))
