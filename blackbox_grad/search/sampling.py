"""Quasi-random settings, and the best of them that differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from blackbox_grad.parameters.parameter import FloatArray

if TYPE_CHECKING:
    from blackbox_grad.matching.objective import Objective, OnStep

#: Renders between two reports of progress.
_CHUNK = 16


def global_search(objective: Objective, count: int, seed: int, on_step: OnStep) -> tuple[FloatArray, FloatArray]:
    """`count` quasi-random points, and their losses. The first is the middle of the box.

    A. B. Owen, "Scrambling Sobol' and Niederreiter-Xing points", J. Complexity 14(4), 1998.
    """
    space = objective.space
    sobol = torch.quasirandom.SobolEngine(len(space), scramble=True, seed=seed).draw(count, dtype=torch.float64)
    # levels get equal shares of the interval, as rounding would give the outer ones half of one
    steps = space.steps
    levels = np.where(steps > 0, 1.0 / np.where(steps > 0, steps, 1.0) + 1.0, 1.0)
    drawn = sobol.numpy()
    drawn = np.where(steps > 0, np.minimum(np.floor(drawn * levels), levels - 1) * steps, drawn)
    points = space.snap(np.concatenate([np.full((1, len(space)), 0.5), drawn])[:count])
    losses = np.empty(count)
    for start in range(0, count, _CHUNK):
        losses[start : start + _CHUNK] = objective.evaluate(points[start : start + _CHUNK])
        on_step(float(losses[start : start + _CHUNK].min()))
    return points, losses


def distinct(points: FloatArray, losses: FloatArray, count: int, apart: float = 0.1) -> FloatArray:
    """The best of `points: [N, P]` that differ from each other, `[≤ count, P]`: at least one coordinate in `apart · P` steps."""
    chosen: list[FloatArray] = []
    for index in np.argsort(losses, kind="stable"):
        if len(chosen) == count or not np.isfinite(losses[index]):
            break
        if all(np.linalg.norm(points[index] - other) > apart * np.sqrt(points.shape[1]) for other in chosen):
            chosen.append(points[index])
    return np.array(chosen) if chosen else points[:1]
