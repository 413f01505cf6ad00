"""Settings at which a plug-in fails are kept out of reach, so that the others can be used.

ZynReverb throws `std::bad_alloc` at its largest room. Such a corner must not make the plug-in unopenable.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np

from blackbox_grad.errors import BlackboxGradError, EffectLoadError
from blackbox_grad.parameters import FloatArray, Parameter

#: Halvings in the search for the end of what works.
_HALVINGS = 10

#: A parameter keeps this much distance from what failed, as a share of its range.
_MARGIN = 0.01

#: How far a parameter goes from its default if the plug-in has ended a process.
_NEAR = 0.25

#: More parameters than this have one note together.
_MOST_NOTES = 4

#: Parameters that give way at one corner.
_MOST_NARROWED = 8

_TABLE_POINTS = 33


@dataclass(frozen=True)
class Reach:
    """The part of a parameter's range that works, in [0, 1]; `low == high`: only the default does."""

    low: float
    high: float

    @property
    def whole(self) -> bool:
        return (self.low, self.high) == (0.0, 1.0)

    def inside(self, value: float, parameter: Parameter) -> tuple[float, str]:
        """A value of the whole range as one of the part that works, and what became of it if that is another."""
        moved = min(max(value, self.low), self.high)
        if moved == value:
            return (value - self.low) / (self.high - self.low), ""
        ends = f"{parameter.text(self.low)} to {parameter.text(self.high)}"
        note = f"{parameter.name}: {parameter.text(min(max(value, 0.0), 1.0))} is outside {ends}, and was moved there"
        return (moved - self.low) / (self.high - self.low), note


WHOLE = Reach(0.0, 1.0)


def touched(
    parameters: Sequence[Parameter],
    defaults: FloatArray,
    held: Collection[int],
    gentle: bool,
    touch: Callable[[], None],
    attempt: Callable[[FloatArray], None],
    renew: Callable[[], None],
) -> list[Reach]:
    """Touch a plug-in, and if it fails, look for how far each parameter may go.

    Args:
        parameters: all of them.
        defaults: `[F]`.
        held: positions of those that do not move: they lose nothing.
        gentle: it has ended a process, so it is not touched, and stays near its defaults.
        touch: moves every parameter once.
        attempt: renders at `values: [F]`, or raises an error.
        renew: opens the plug-in anew, after it failed.
    """
    if gentle:
        return [WHOLE if i in held else near_the_default(p) for i, p in enumerate(parameters)]
    with suppress(_Failure), _renewed(renew):
        touch()
        return [WHOLE] * len(parameters)

    def careful(values: FloatArray) -> None:
        with _renewed(renew):
            attempt(values)

    return [WHOLE if i in held else reach for i, reach in enumerate(find_reaches(parameters, defaults, careful))]


class _Failure(Exception):
    """A plug-in failed, and has been renewed. It holds no frame of the plug-in's."""


@contextmanager
def _renewed(renew: Callable[[], None]) -> Iterator[None]:
    try:
        yield
    except BlackboxGradError:
        raise
    except Exception:
        failed = True
    else:
        failed = False
    if failed:  # here, where the error and its frames are gone, which hold native objects
        renew()
        raise _Failure


def find_reaches(
    parameters: Sequence[Parameter], defaults: FloatArray, attempt: Callable[[FloatArray], None]
) -> tuple[Reach, ...]:
    """How far each parameter may go so that no corner of the rest fails, as far as three corners show it.

    At a corner that fails, the one parameter gives way that loses least of its range. ZynReverb fails at large rooms of one type.

    Args:
        parameters: all of them.
        defaults: `[F]`.
        attempt: renders at `values: [F]`, or raises an error, and leaves a plug-in that can be tried again.
    """

    def works(values: FloatArray) -> bool:
        try:
            attempt(values)
        except BlackboxGradError:
            raise
        except Exception:
            return False
        return True

    lows, highs = np.zeros(len(defaults)), np.ones(len(defaults))
    for corner in (np.where(defaults > 0.5, 0.0, 1.0), np.ones(len(defaults)), np.zeros(len(defaults))):
        for _ in range(_MOST_NARROWED):
            values = np.clip(corner, lows, highs)
            if works(values):
                break
            index, last = _least_loss(works, parameters, values, defaults)
            if corner[index] > defaults[index]:
                highs[index] = last
            else:
                lows[index] = last
    return tuple(Reach(float(low), float(high)) for low, high in zip(lows, highs, strict=True))


def _least_loss(
    works: Callable[[FloatArray], bool], parameters: Sequence[Parameter], values: FloatArray, defaults: FloatArray
) -> tuple[int, float]:
    """The parameter to narrow, and the last of its values that works, while the others are at `values`, which fail.

    Where no single one mends it, the others go back to their defaults one after another until one does.
    """
    base = values.copy()
    for spared in (-1, *range(len(values))):
        if spared >= 0:
            base[spared] = defaults[spared]
        losses = []
        for i in np.flatnonzero(base != defaults).tolist():
            last = _last_working(works, base, i, float(defaults[i]), parameters[i].levels is not None)
            if last is not None:
                losses.append((abs(base[i] - last), i, last))
        if losses:
            return min(losses)[1:]
    raise EffectLoadError("the plug-in fails at its own defaults")


def _last_working(
    works: Callable[[FloatArray], bool], base: FloatArray, index: int, default: float, stepped: bool
) -> float | None:
    """Between the default of one parameter, and its value in `base`, at which it fails; None if it fails at the default too."""

    def at(value: float) -> bool:
        values = base.copy()
        values[index] = value
        return works(values)

    if not at(default):
        return None
    if stepped:
        return default
    good, bad = default, float(base[index])
    for _ in range(_HALVINGS):
        middle = (good + bad) / 2
        good, bad = (middle, bad) if at(middle) else (good, middle)
    inside = good - np.sign(bad - default) * _MARGIN
    return float(inside) if (inside - default) * (bad - default) > 0 and at(inside) else good


def narrowed(parameter: Parameter, reach: Reach) -> Parameter:
    """The parameter with the native range that is in reach."""
    if reach.whole:
        return parameter
    low, high = parameter.to_native(reach.low), parameter.to_native(reach.high)
    default = (parameter.default - reach.low) / (reach.high - reach.low)
    table = parameter.table
    if parameter.scale == "table":
        table = tuple(parameter.to_native(float(v)) for v in np.linspace(reach.low, reach.high, _TABLE_POINTS))
    return replace(parameter, minimum=low, maximum=high, default=min(1.0, max(0.0, default)), table=table)


def near_the_default(parameter: Parameter) -> Reach:
    """For a plug-in that has ended a process: a quarter of the range to each side, and switches stay where they are."""
    if parameter.levels is not None:
        return Reach(parameter.default, parameter.default)
    return Reach(max(0.0, parameter.default - _NEAR), min(1.0, parameter.default + _NEAR))


def notes(parameters: Sequence[Parameter], reaches: Sequence[Reach]) -> tuple[str, ...]:
    """Sentences about what is out of reach: one for each parameter, or one for many."""
    found = [(p, r) for p, r in zip(parameters, reaches, strict=True) if not r.whole]
    if len(found) <= _MOST_NOTES:
        return tuple(note(p, r) for p, r in found)
    names = ", ".join(repr(p.name) for p, _ in found[:_MOST_NOTES])
    return (
        f"{len(found)} parameters stay near their defaults, as the plug-in failed when they went to their ends: {names}, …",
    )


def note(parameter: Parameter, reach: Reach) -> str:
    """A sentence about what is out of reach; empty if nothing is."""
    if reach.whole:
        return ""
    if reach.low == reach.high:
        return f"{parameter.name!r} stays at {parameter.text(parameter.default)}: the plug-in fails at another value"
    return (
        f"{parameter.name!r} goes from {parameter.text(reach.low)} to {parameter.text(reach.high)}, not from "
        f"{parameter.text(0.0)} to {parameter.text(1.0)}: the plug-in fails beyond"
    )
