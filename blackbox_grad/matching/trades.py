"""Settings that make up for each other: a move of one is not heard if others move with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

#: Settings `[N, P]` -> their distances from the settings found, `[N]`, and the changes of the residuals.
Distances: TypeAlias = Callable[[FloatArray], tuple[FloatArray, list[Tensor]]]

#: An eigenvalue below this of the products of unit changes is small: moves along its vector cancel.
_SMALL = 0.2

#: Groups that are followed, steps along each in both directions, and renders of a step.
_GROUPS, _STEPS, _OF_STEP = 2, 8, 2

#: Steps in one direction without which none is followed.
_FEWEST = 3


@dataclass(frozen=True)
class Trade:
    """A group of settings.

    Attributes:
        names: of the parameters, those that move most first.
        weakness: the eigenvalue: the square of what is heard of a move along the group, over that of the same moves one by one.
        points: `[N, P]`: settings that were rendered and are not told apart from those found, from one end to the other.
    """

    names: tuple[str, ...]
    weakness: float
    points: FloatArray = field(repr=False)


def renders_of_trades(parameters: int) -> int:
    """The most that `find_trades` spends."""
    return 0 if parameters < 2 else 2 * _GROUPS * _STEPS * _OF_STEP


def find_trades(
    distances: Distances,
    space: ParameterSpace,
    point: FloatArray,
    steps: Mapping[int, tuple[float, Tensor]],
    threshold: float,
    limit: int,
) -> list[Trade]:
    """Groups of settings that make up for each other, from the small eigenvalues of the Jacobian's products, checked by renders.

    Args:
        distances: renders.
        space: of the settings.
        point: `[P]`: the settings found.
        steps: of each parameter that is heard: a move that is just heard, and the change of the residuals that it makes.
        threshold: a distance above it is heard.
        limit: renders to spend.
    """
    moving = sorted(steps)
    if len(moving) < 2:
        return []
    moves = np.array([steps[i][0] for i in moving])
    changes = torch.stack([steps[i][1] for i in moving]).double()
    lengths = changes.norm(dim=1, keepdim=True).clamp_min(1e-30)
    values, vectors = np.linalg.eigh((changes / lengths @ (changes / lengths).T).numpy())
    found: list[Trade] = []
    for value, vector in list(zip(values, vectors.T, strict=True))[:_GROUPS]:
        steps_each = min(_STEPS, limit // (2 * _OF_STEP))
        if value > _SMALL or steps_each < _FEWEST:
            break
        direction = np.zeros(len(point))
        # a component says how many lengths of its change a parameter moves by
        direction[np.array(moving)] = vector * moves * (lengths.min() / lengths[:, 0]).numpy()
        walk = _Walk(distances, space, point, np.array(moving), moves, changes, threshold)
        ways = [walk.along(sign * direction, steps_each) for sign in (-1.0, 1.0)]
        limit -= walk.renders
        points = np.array([*reversed(ways[0]), point, *ways[1]])
        order = np.argsort(-np.abs(vector))
        names = tuple(space[moving[k]].name for k in order)
        found.append(Trade(names, float(max(value, 0.0)), points))
    return found


class _Walk:
    """Steps along a valley of settings that are not heard, each corrected with the Jacobian where it leaves the valley.

    Args:
        moving: `[M]`: indices of the parameters that move.
        moves, changes: `[M], [M, R]`: their moves, and the changes that these make.
    """

    def __init__(
        self,
        distances: Distances,
        space: ParameterSpace,
        point: FloatArray,
        moving: NDArray[np.intp],
        moves: FloatArray,
        changes: Tensor,
        threshold: float,
    ) -> None:
        self._distances, self._space, self._point, self._threshold = distances, space, point, threshold
        self._part, self._jacobian = moving, changes / torch.from_numpy(moves)[:, None]
        self.renders = 0

    def along(self, direction: FloatArray, steps: int) -> list[FloatArray]:
        """Settings from the point outwards, none of them heard, in at most so many steps."""
        here, step, reached = self._point, 2.0 * direction, list[FloatArray]()
        for _ in range(steps):
            trial = self._space.snap(np.clip(here + step, 0.0, 1.0))
            if not (np.abs(trial - here) > 1e-6).any():
                break
            distance, change = self._render(trial)
            if distance > self._threshold and np.isfinite(distance):
                trial = self._corrected(trial, change)
                distance, _ = self._render(trial)
            if distance <= self._threshold:
                step = 1.5 * (trial - here)
                here = trial
                reached.append(here)
            else:
                step = step / 3.0
        return reached

    def _render(self, trial: FloatArray) -> tuple[float, Tensor]:
        self.renders += 1
        distances, changes = self._distances(trial[None])
        return float(distances[0]), changes[0]

    def _corrected(self, trial: FloatArray, change: Tensor) -> FloatArray:
        """The trial, moved back into the valley by least squares: all parameters but that which has gone farthest."""
        gone = np.abs(trial - self._point)[self._part]
        others = np.flatnonzero(np.arange(len(self._part)) != int(gone.argmax()))
        jacobian = self._jacobian[others]
        back = torch.linalg.lstsq(jacobian.T, -change.double()[:, None]).solution[:, 0].numpy()
        corrected = trial.copy()
        corrected[self._part[others]] += back
        return self._space.snap(np.clip(corrected, 0.0, 1.0))
