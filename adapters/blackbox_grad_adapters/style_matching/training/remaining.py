"""The time that is left of work in phases: from rates that were measured before, and then from those of the work itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Phase:
    """A part of the work.

    Attributes:
        name: unique.
        units: of its progress, such as shards and epochs.
        seconds: of one unit, as measured before.
    """

    name: str
    units: int
    seconds: float

    @property
    def total(self) -> float:
        """Seconds of all its units."""
        return self.units * self.seconds


class Remaining:
    """The seconds that are left.

    Args:
        phases: in their order.
        clock: seconds; only differences count.
    """

    def __init__(self, phases: Sequence[Phase], clock: Callable[[], float] = time.monotonic) -> None:
        self._phases = {phase.name: (place, phase) for place, phase in enumerate(phases)}
        self._clock = clock
        self._current, self._began, self._reports = "", clock(), 0
        self._last = self._began

    def units(self, name: str) -> int:
        """Units of a phase; 0 if no phase has this name."""
        return self._phases[name][1].units if name in self._phases else 0

    def after(self, name: str, done: int) -> float | None:
        """Seconds left after a unit of a phase, of which `done` are done now; None if no phase has this name.

        Call it after every unit. Units that were done before the work began, such as those in a cache, are counted in `done` alone.
        """
        if name not in self._phases:
            return None
        now = self._clock()
        if name != self._current:
            self._current, self._began, self._reports = name, self._last, 0
        self._reports, self._last = self._reports + 1, now
        place, phase = self._phases[name]
        later = sum(other.total for at, other in self._phases.values() if at > place)
        return (phase.units - done) * (now - self._began) / self._reports + later


def in_words(seconds: float) -> str:
    """`"40 s"`, `"3 min 20 s"`, `"2.5 h"`: as exact as an estimate is.

    >>> in_words(38.2), in_words(201), in_words(1500), in_words(9000)
    ('40 s', '3 min 20 s', '25 min', '2.5 h')
    """
    if seconds < 100:
        return f"{5 * max(1, round(seconds / 5))} s"
    if seconds < 600:
        minutes, rest = divmod(10 * round(seconds / 10), 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{round(seconds / 60)} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
