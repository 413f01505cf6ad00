"""Acquisition: the settings whose render promises most, by an emulator's prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.search.emulator import Emulator
from blackbox_grad.search.minimise import minimum

#: Candidates: drawn from the whole box, and drawn around the best settings at each of these distances.
_IN_THE_BOX, _NEAR = 512, 48
_DISTANCES = (0.3, 0.1, 0.03, 0.01, 0.003)


def propose(emulator: Emulator, around: FloatArray, exploration: float, more: FloatArray | None = None) -> FloatArray:
    """The settings `[P]` with the best acquisition value: the best of many candidates, improved by L-BFGS.

    Args:
        emulator: fitted.
        around: `[P]`: the best settings so far. Candidates are drawn near them and in the whole box.
        exploration: 0 for the lowest expected square of the residuals, uncertainty included. More prefers settings of which little
            is known.
        more: `[N, P]`: more candidates.
    """

    def acquisition(square: Any, variance: Any) -> tuple[Any, Any, Any]:
        """The logarithm of what is to be minimised, and its slopes in both."""
        square = square + 1e-14
        sure = 1.0 / (square + variance)
        if exploration == 0.0:
            return -np.log(sure), sure, sure
        return (
            np.log(square) - exploration * np.log1p(variance / square),
            (1.0 + exploration) / square - exploration * sure,
            -exploration * sure,
        )

    candidates = _candidates(emulator, around)
    if more is not None and len(more):
        candidates = np.concatenate([candidates, more])
    values = acquisition(*emulator.predict(candidates))[0]
    start = int(values.argmin())
    best: FloatArray = candidates[start]
    smooth = emulator.coordinates.smooth
    if not len(smooth):
        return best

    def along(moved: FloatArray) -> tuple[float, FloatArray]:
        point = best.copy()
        point[smooth] = moved
        square, variance, square_slope, variance_slope = emulator.predict_with_slopes(point)
        value, to_square, to_variance = acquisition(square, variance)
        return float(value), (to_square * square_slope + to_variance * variance_slope)[smooth]

    found, value = minimum(along, best[smooth], [(0.0, 1.0)] * len(smooth), 20)
    if value < values[start]:
        best = best.copy()
        best[smooth] = found
    return best


def _candidates(emulator: Emulator, around: FloatArray) -> FloatArray:
    """`[M, P]`: some from the whole box, some near the best settings with few or all parameters changed, and all known ones."""
    count, random = len(emulator.space), emulator.random
    drawn = [random.uniform(size=(_IN_THE_BOX, count))]
    for distance in _DISTANCES:
        moves = distance * random.standard_normal((_NEAR, count))
        moves[_NEAR // 2 :] *= random.uniform(size=(_NEAR // 2, count)) < max(1.5 / count, 0.2)
        drawn.append(np.clip(around + moves, 0.0, 1.0))
    return emulator.space.snap(np.concatenate([*drawn, emulator.points]))
