"""The true number of settings of a parameter: where its output changes, found by bisection."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from blackbox_grad.effects.audio import Audio
from blackbox_grad.parameters.parameter import FloatArray

#: `[K]` normalised values -> the output at each value.
Render = Callable[[FloatArray], Sequence[Audio]]
Differs = Callable[[Audio, Audio], bool]

#: A parameter with narrower steps counts as continuous: float32 rounding alone, over a few sums, makes steps of about this width.
FINEST = 2.0**-19

#: Places where steps are measured: the nodes of a Gauss-Legendre rule, which sums their densities to the number of steps. With five
#: it integrates a density that grows a thousandfold over the range (a time on a logarithmic scale) to a few per cent.
_PLACES = 5

#: If only part of the range has steps, they count from this width on.
_COARSE = 1e-4

#: Up to this many levels are counted one by one.
_COUNTED = 64

#: Up to this many levels are found edge by edge: they are so wide that a whole one may not fit between two of the places.
_WALKED = 6

#: Steps whose mean width is compared with the first step's width, the part by which the two may differ, and the most comparisons.
_NEIGHBOURS, _UNEQUAL, _ROUNDS = 16, 0.1, 6

#: Shortest distance in the search for the next edge, the distances that one batch of renders tries, and the points between in each
#: round that narrows it down.
_NEAREST = 2.0**-21
_RUNGS = 22
_BETWEEN = 15

#: The search for an edge ends when its bracket is this part of its distance.
_PRECISION = 1e-3


@dataclass(frozen=True)
class Resolution:
    """`steps`: the number of different settings; None if at least part of the range is continuous. `widest`: width of the widest
    step found, normalised; 0 if there are no steps."""

    steps: int | None
    widest: float


CONTINUOUS = Resolution(None, 0.0)


def resolution(render: Render, differs: Differs, places: int = _PLACES, rungs: int = _RUNGS) -> Resolution:
    """Walk over the levels if they are very few. Otherwise measure the steps at some places, and count them if they are not many.

    Args:
        places: how many.
        rungs: distances that one batch of renders tries, 2 or more.
    """
    ladder = 2.0 ** np.linspace(np.log2(_NEAREST), 0.0, rungs)
    nodes, weights = np.polynomial.legendre.leggauss(places)
    walked = _walk(render, differs, ladder)
    if walked is not None:
        return walked
    widths = [_step_beyond(float(place), render, differs, ladder) for place in (1.0 + nodes) / 2.0]
    known = np.array([width is not None for width in widths])
    found = np.array([width for width in widths if width is not None])
    stepped = found[found >= FINEST]
    if not len(stepped):
        return CONTINUOUS
    if len(stepped) < len(found):
        # a coefficient that rounds to float32 in places does not make a stepped parameter
        return CONTINUOUS if stepped.max() < _COARSE else Resolution(None, float(stepped.max()))
    density = float(np.sum(weights[known] / found) / np.sum(weights[known]))
    if density > _COUNTED:
        return Resolution(round(density) + 1, float(stepped.max()))
    sounds = render(np.linspace(0.0, 1.0, 4 * round(density) + 2))
    changes = sum(differs(a, b) for a, b in itertools.pairwise(sounds))
    return Resolution(changes + 1, float(stepped.max()))


def _walk(render: Render, differs: Differs, ladder: FloatArray) -> Resolution | None:
    """From one edge to the next; None if there are more than `_WALKED` levels, or an edge turns out to be a slope."""
    edges = [0.0]
    while len(edges) <= _WALKED:
        edge = _edge(edges[-1], render, differs, ladder)
        if edge is None:
            return Resolution(len(edges), float(np.diff([*edges, 1.0]).max()))
        if edge - edges[-1] < FINEST:
            return None
        edges.append(edge)
    return None


def _step_beyond(place: float, render: Render, differs: Differs, ladder: FloatArray) -> float | None:
    """Width of the steps above a place, below `FINEST` if continuous; None if the output does not change twice again.

    It is the width of the first whole step, or the mean of several if they are unequal (one knob that moves two delays of whole
    samples).
    """
    start = _edge(place, render, differs, ladder)
    end = None if start is None else _edge(start, render, differs, ladder)
    if start is None or end is None or end - start < FINEST:
        return None if start is None or end is None else end - start
    width = end - start
    for _ in range(_ROUNDS):
        grid = start + width * np.arange(0.125, _NEIGHBOURS, 0.25)
        whole, grid = grid[-1] <= 1.0, grid[grid <= 1.0]
        changed = [at for at, (a, b) in zip(grid[1:], itertools.pairwise(render(grid)), strict=True) if differs(a, b)]
        if whole and 2 * len(changed) < _NEIGHBOURS:
            width *= 4.0  # the first step was unusually narrow
            continue
        mean = float(changed[-1] - start) / len(changed) if changed else width
        if abs(mean / width - 1.0) < _UNEQUAL:
            break
        width = mean
    return width


def _edge(place: float, render: Render, differs: Differs, ladder: FloatArray) -> float | None:
    """The nearest value above a place where the output is different, rounded up; None if no value is."""
    values = np.append(place + ladder[place + ladder < 1.0], 1.0)
    here, *others = render(np.array([place, *values]))
    changed = [differs(here, sound) for sound in others]
    if not any(changed):
        return None
    first = changed.index(True)
    if first == 0:
        return float(values[0])
    below, above, before, after = values[first - 1], values[first], others[first - 1], others[first]
    while above - below > max(_PRECISION * (above - place), _NEAREST / 4):
        grid = np.linspace(below, above, _BETWEEN + 2)
        sounds = [before, *render(grid[1:-1]), after]
        first = next(i for i, sound in enumerate(sounds) if differs(here, sound))
        below, above, before, after = grid[first - 1], grid[first], sounds[first - 1], sounds[first]
    # without a jump, a gradual change has merely exceeded the tolerance
    return float(above) if differs(before, after) else float(place + _NEAREST)
