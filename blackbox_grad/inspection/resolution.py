"""The true number of settings of a parameter: where its output changes, found by bisection."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from blackbox_grad.effects.audio import Audio
from blackbox_grad.parameters.parameter import FloatArray

#: `[K]` normalised values -> the output at each.
Render = Callable[[FloatArray], Sequence[Audio]]
Differs = Callable[[Audio, Audio], bool]

#: Steps narrower than this are none: a float32 that goes through a few sums has about so many values.
FINEST = 2.0**-19

#: Where steps are measured, and with which weights their densities add up to the number of steps: Gauss and Legendre's five places,
#: which integrate a density that grows a thousandfold over the range (a time on a logarithmic scale) to a few per cent.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)
PLACES, WEIGHTS = (1.0 + _NODES) / 2.0, _WEIGHTS / 2.0

#: Where only part of the range has steps, they are as wide as this.
_COARSE = 1e-4

#: So many levels or fewer are counted one by one.
_COUNTED = 64

#: Levels of which so many are looked for one after the other, as between two places there may be no whole one.
_WALKED = 6

#: Steps whose mean width is compared with that of the first, the part by which they may differ, and how often it is tried.
_NEIGHBOURS, _UNEQUAL, _ROUNDS = 16, 0.1, 6

#: Distances that are tried at once in the search for the next edge, and points between in each round of narrowing it down.
_LADDER = 2.0 ** np.arange(-21.0, 1.0)
_BETWEEN = 15

#: An edge is known when its bracket is this part of its distance.
_PRECISION = 1e-3


@dataclass(frozen=True)
class Resolution:
    """`steps`: how many different settings, None if continuous, at least in part of the range. `widest`: of the steps measured,
    normalised; 0 if there are none."""

    steps: int | None
    widest: float


CONTINUOUS = Resolution(None, 0.0)


def resolution(render: Render, differs: Differs) -> Resolution:
    """Walk over the levels if they are very few; otherwise measure the steps at `PLACES`, and count those that are not many."""
    walked = _walk(render, differs)
    if walked is not None:
        return walked
    widths = [_step_beyond(float(place), render, differs) for place in PLACES]
    known = np.array([width is not None for width in widths])
    found = np.array([width for width in widths if width is not None])
    stepped = found[found >= FINEST]
    if not len(stepped):
        return CONTINUOUS
    if len(stepped) < len(found):
        # a coefficient that is rounded to float32 here and there does not make steps of a parameter
        return CONTINUOUS if stepped.max() < _COARSE else Resolution(None, float(stepped.max()))
    density = float(np.sum(WEIGHTS[known] / found) / np.sum(WEIGHTS[known]))
    if density > _COUNTED:
        return Resolution(round(density) + 1, float(stepped.max()))
    sounds = render(np.linspace(0.0, 1.0, 4 * round(density) + 2))
    changes = sum(differs(a, b) for a, b in itertools.pairwise(sounds))
    return Resolution(changes + 1, float(stepped.max()))


def _walk(render: Render, differs: Differs) -> Resolution | None:
    """From one edge to the next; None if there are more than `_WALKED`, or an edge is no edge but a slope."""
    edges = [0.0]
    while len(edges) <= _WALKED:
        edge = _edge(edges[-1], render, differs)
        if edge is None:
            return Resolution(len(edges), float(np.diff([*edges, 1.0]).max()))
        if edge - edges[-1] < FINEST:
            return None
        edges.append(edge)
    return None


def _step_beyond(place: float, render: Render, differs: Differs) -> float | None:
    """Width of the steps above a place, below `FINEST` if continuous; None if the output does not change twice again.

    It is that of the first whole step, or the mean of some where they are unequal (two delays of whole samples, moved by one knob).
    """
    start = _edge(place, render, differs)
    end = None if start is None else _edge(start, render, differs)
    if start is None or end is None or end - start < FINEST:
        return None if start is None or end is None else end - start
    width = end - start
    for _ in range(_ROUNDS):
        grid = start + width * np.arange(0.125, _NEIGHBOURS, 0.25)
        whole, grid = grid[-1] <= 1.0, grid[grid <= 1.0]
        changed = [at for at, (a, b) in zip(grid[1:], itertools.pairwise(render(grid)), strict=True) if differs(a, b)]
        if whole and 2 * len(changed) < _NEIGHBOURS:
            width *= 4.0  # the first step was an uncommonly narrow one
            continue
        mean = float(changed[-1] - start) / len(changed) if changed else width
        if abs(mean / width - 1.0) < _UNEQUAL:
            break
        width = mean
    return width


def _edge(place: float, render: Render, differs: Differs) -> float | None:
    """The nearest value above a place with another output, from its upper side; None if there is none."""
    values = np.append(place + _LADDER[place + _LADDER < 1.0], 1.0)
    here, *others = render(np.array([place, *values]))
    changed = [differs(here, sound) for sound in others]
    if not any(changed):
        return None
    first = changed.index(True)
    if first == 0:
        return float(values[0])
    below, above, before, after = values[first - 1], values[first], others[first - 1], others[first]
    while above - below > max(_PRECISION * (above - place), _LADDER[0] / 4):
        grid = np.linspace(below, above, _BETWEEN + 2)
        sounds = [before, *render(grid[1:-1]), after]
        first = next(i for i, sound in enumerate(sounds) if differs(here, sound))
        below, above, before, after = grid[first - 1], grid[first], sounds[first - 1], sounds[first]
    # a change without a jump only rose above what counts as one
    return float(above) if differs(before, after) else float(place + _LADDER[0])
