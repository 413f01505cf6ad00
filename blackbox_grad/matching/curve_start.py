"""Where the search for curves begins: the constant setting that suits best at each knot, with curves that do not jump about."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from blackbox_grad.parameters.parameter import FloatArray

#: What a jump over the whole range from one knot to the next costs, as part of the mean distance at a knot.
_JUMP = 0.25


def best_path(losses: FloatArray, settings: FloatArray) -> list[int]:
    """Which of `N` constant settings is taken at each of `M` knots.

    The cheapest path, by dynamic programming: A. J. Viterbi, "Error bounds for convolutional codes and an asymptotically optimum
    decoding algorithm", IEEE Trans. Inf. Theory 13(2), 1967, doi:10.1109/TIT.1967.1054010.

    Args:
        losses: `[N, M]`: of each setting around each knot; infinite where a render is not finite.
        settings: `[N, A]`, of the controls that move.
    """
    usable = np.isfinite(losses).all(axis=1)
    typical = float(np.median(losses[usable])) if usable.any() else 1.0
    apart = np.abs(settings[:, None] - settings[None]).mean(axis=-1)  # [N, N]
    jumps = _JUMP * typical * apart
    costs, came = losses[:, 0].copy(), []
    for column in losses.T[1:]:
        ways = costs[:, None] + jumps
        came.append(ways.argmin(axis=0))
        costs = ways.min(axis=0) + column
    path = [int(costs.argmin())]
    for back in reversed(came):
        path.append(int(back[path[-1]]))
    return path[::-1]


def windows(places: Sequence[int], samples: int, least: int) -> list[slice]:
    """The audio around each knot: half the way to the next ones, and at least so many samples.

    Args:
        places: of the knots, samples.
        samples: of the audio.
        least: samples.
    """
    inside = [min(place, samples) for place in places]
    edges = [0, *((a + b) // 2 for a, b in itertools.pairwise(inside)), samples]
    return [widened(slice(a, b), samples, least) for a, b in itertools.pairwise(edges)]


def widened(part: slice, samples: int, least: int) -> slice:
    """A part of the audio of at least so many samples, around it."""
    missing = max(0, min(least, samples) - (part.stop - part.start))
    start = max(0, part.start - missing // 2)
    stop = min(samples, max(part.stop, start + min(least, samples)))
    return slice(max(0, min(start, stop - min(least, samples))), stop)
