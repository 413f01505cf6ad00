"""Quasi-random settings, and the best of some that differ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace


class Sampling:
    """Scrambled Sobol points, without end. The levels of a stepped parameter get equal shares.

    A. B. Owen, "Scrambling Sobol' and Niederreiter-Xing points", J. Complexity 14(4), 1998, doi:10.1006/jcom.1998.0487.

    Args:
        space: of the settings.
        seed: of the scrambling.
        middle: begin with the middle of the box.
    """

    def __init__(self, space: ParameterSpace, seed: int, middle: bool = False) -> None:
        self._space, self._middle = space, middle
        self._sobol = torch.quasirandom.SobolEngine(len(space), scramble=True, seed=seed)

    def ask(self, count: int) -> FloatArray:
        first = np.full((int(self._middle and count > 0), len(self._space)), 0.5)
        self._middle = self._middle and not len(first)
        if count <= len(first):
            return self._space.snap(first)
        begins = self._sobol.num_generated == 0
        drawn = self._sobol.draw(count - len(first), dtype=torch.float64).numpy()
        if begins:  # torch computes the first point in the default type
            drawn[0] = (self._sobol.shift.double() / 2**self._sobol.MAXBIT).float().numpy()
        # rounding alone would give the outer levels half a share each
        steps = self._space.steps
        levels = np.where(steps > 0, 1.0 / np.where(steps > 0, steps, 1.0) + 1.0, 1.0)
        drawn = np.where(steps > 0, np.minimum(np.floor(drawn * levels), levels - 1) * steps, drawn)
        return self._space.snap(np.concatenate([first, drawn]))

    def tell(self, points: FloatArray, losses: FloatArray, residuals: Sequence[Tensor]) -> None:
        """Nothing is learnt."""


def distinct(points: FloatArray, losses: FloatArray, count: int, apart: float = 0.1) -> FloatArray:
    """The best of `points: [N, P]` that differ from each other, `[≤ count, P]`: by more than `apart · √P`."""
    chosen: list[FloatArray] = []
    for index in np.argsort(losses, kind="stable"):
        if len(chosen) == count or not np.isfinite(losses[index]):
            break
        if all(np.linalg.norm(points[index] - other) > apart * np.sqrt(points.shape[1]) for other in chosen):
            chosen.append(points[index])
    return np.array(chosen) if chosen else points[:1]
