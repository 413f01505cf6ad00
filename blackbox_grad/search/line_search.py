"""Every parameter alone along its whole range: finds valleys that are too narrow for anything that expects a smooth loss.

Where a parameter moves sound in time, such as the size of a room, the loss along it is jagged and its valley a hundredth of the
range wide. It still shows on a line through settings that are otherwise good. Between two rendered points the loss is modelled as a
Brownian bridge. The next render goes where the chance of a loss a fifth below the lowest is greatest: H. J. Kushner, "A
new method of locating the maximum point of an arbitrary multipeak curve in the presence of noise", J. Basic Eng. 86(1), 1964,
doi:10.1115/1.3653121.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

#: Points on each line to begin with.
_FIRST = 9

#: Points nearer to each other are not rendered.
_FINEST = 2e-4

#: How much lower than the lowest the next loss should be.
_AMBITION = 0.2

#: Valleys nearer than this are that of the start.
_NEAR = 0.01


@dataclass
class _Line:
    """The loss along one parameter: values in rising order, and the losses there, infinite where they are not known yet."""

    parameter: int
    finest: float
    values: FloatArray
    losses: FloatArray

    def add(self, value: float, loss: float) -> None:
        at = int(np.searchsorted(self.values, value))
        self.values, self.losses = np.insert(self.values, at, value), np.insert(self.losses, at, loss)

    def valleys(self, start: float) -> list[tuple[float, float]]:
        """Values at which the loss is lower than at both neighbours, but for that at the start, and the losses there."""
        losses = np.concatenate([[np.inf], self.losses, [np.inf]])
        lower = (losses[1:-1] < losses[:-2]) & (losses[1:-1] < losses[2:]) & (np.abs(self.values - start) > _NEAR)
        return [(float(value), float(loss)) for value, loss in zip(self.values[lower], self.losses[lower], strict=True)]

    def chances(self, wanted: float) -> tuple[FloatArray, FloatArray]:
        """For each interval, a measure of the chance that the loss falls below `wanted` in it, and where it is the greatest."""
        finite = np.isfinite(self.losses)
        if len(finite) < 3 or not finite.any():
            return np.zeros(len(self.values) - 1), self.values[1:]
        losses = np.where(finite, self.losses, self.losses[finite].max())
        widths = np.diff(self.values)
        # how much the middle of three points departs from a straight line, a Brownian path's variance for each unit of length
        near, far = widths[:-1], widths[1:]
        straight = (losses[:-2] * far + losses[2:] * near) / (near + far)
        variance = float(np.median(np.square(losses[1:-1] - straight) * (near + far) / (near * far)))
        left, right = losses[:-1] - wanted, losses[1:] - wanted
        at = self.values[:-1] + widths * left / (left + right)
        at = np.clip(at, self.values[:-1] + self.finest, self.values[1:] - self.finest)
        return np.where(widths >= 1.99 * self.finest, variance * widths / (left * right), 0.0), at


class LineSearch:
    """The lines through one point of the box.

    Args:
        space: of the settings.
        start: `[P]`: the point.
        loss: there; positive.
    """

    def __init__(self, space: ParameterSpace, start: FloatArray, loss: float) -> None:
        self.space, self.start = space, start
        self._lines = [_Line(i, max(_FINEST, float(s)), start[[i]], np.array([loss])) for i, s in enumerate(space.steps)]
        self._grid = [point for line in self._lines for point in self._first(line)]

    def _first(self, line: _Line) -> list[FloatArray]:
        points = np.repeat(self.start[None], _FIRST, axis=0)
        points[:, line.parameter] = np.linspace(0.0, 1.0, _FIRST)
        values = np.unique(self.space.snap(points)[:, line.parameter])
        return [self._at(line, value) for value in values if abs(value - line.values[0]) >= line.finest / 2]

    def _at(self, line: _Line, value: float) -> FloatArray:
        point = self.start.copy()
        point[line.parameter] = value
        return point

    def ask(self, count: int) -> FloatArray:
        """`[≤ count, P]`: a grid at first, then where a line is jagged and low; none if all are flat."""
        if self._grid:
            points, self._grid = self._grid[:count], self._grid[count:]
            return np.array(points)
        lowest = min(float(line.losses.min()) for line in self._lines)
        if lowest <= 0.0:
            return np.empty((0, len(self.start)))
        chances = [
            (float(chance), line.parameter, float(value))
            for line in self._lines
            for chance, value in zip(*line.chances((1.0 - _AMBITION) * lowest), strict=True)
            if chance > 0
        ]
        best = sorted(chances, reverse=True)[:count]
        return self.space.snap(np.array([self._at(self._lines[i], value) for _, i, value in best]).reshape(-1, len(self.start)))

    def parameter_of(self, point: FloatArray) -> int:
        """The parameter on whose line `point: [P]` is."""
        return int(np.abs(point - self.start).argmax())

    def through(self, point: FloatArray) -> bool:
        """Whether `point: [P]` is on one of the lines."""
        return int((np.abs(point - self.start) > 1e-9).sum()) <= 1

    def tell(self, points: FloatArray, losses: FloatArray, residuals: Sequence[Tensor] = ()) -> None:
        """The losses `[N]` at points that `ask` gave."""
        for point, loss in zip(points, losses, strict=True):
            line = self._lines[self.parameter_of(point)]
            line.add(float(point[line.parameter]), float(loss))

    def valleys(self) -> FloatArray:
        """`[V, P]`: where the loss has a minimum along a line, but for the start's, the lowest first."""
        found = sorted(
            (loss, line.parameter, v) for line in self._lines for v, loss in line.valleys(self.start[line.parameter])
        )
        return np.array([self._at(self._lines[i], value) for _, i, value in found]).reshape(-1, len(self.start))
