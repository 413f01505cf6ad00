"""Settings that move: what a curve is, and the settings of each block of a render that it stands for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import numpy as np

from blackbox_grad.errors import ParameterError
from blackbox_grad.parameters.knots import Shape
from blackbox_grad.parameters.parameter import FloatArray

#: Knots of one curve.
MOST_KNOTS = 4096


@dataclass(frozen=True)
class Curves:
    """Which parameters of an effect move, and where their knots are.

    Attributes:
        parameters: names and patterns of names; empty for all free ones.
        knots: `M`, of each curve.
        seconds: what the curves span, from the start of the audio.
        shape: "linear": in straight lines from the first knot, at 0 s, to the last, at `seconds`. "held": each knot holds for
            `seconds / M`, and the first begins at 0 s. After the span the last value stays.
    """

    parameters: tuple[str, ...]
    knots: int
    seconds: float
    shape: Shape = "linear"

    def __post_init__(self) -> None:
        if self.shape not in ("linear", "held"):
            raise ParameterError(f"curves: shape={self.shape!r} is unknown; allowed are 'linear' and 'held'")
        if not (isinstance(self.knots, int) and not isinstance(self.knots, bool) and 2 <= self.knots <= MOST_KNOTS):
            one = (
                "; a curve of one knot is a constant setting: leave the parameter out of the curves" if self.knots == 1 else ""
            )
            raise ParameterError(f"curves: knots={self.knots!r} must be a whole number from 2 to {MOST_KNOTS}{one}")
        if not (isinstance(self.seconds, Real) and math.isfinite(self.seconds) and self.seconds > 0.0):
            raise ParameterError(f"curves: seconds={self.seconds!r} must be a positive number, the length of the audio")
        object.__setattr__(self, "seconds", float(self.seconds))

    @property
    def spacing(self) -> float:
        """Seconds from one knot to the next."""
        return self.seconds / (self.knots - 1 if self.shape == "linear" else self.knots)

    @property
    def times(self) -> FloatArray:
        """`[M]`, seconds."""
        return np.arange(self.knots, dtype=np.float64) * self.spacing

    @property
    def names(self) -> list[str]:
        """`M` texts: " @ 0.50 s"."""
        decimals = 2 if self.spacing >= 0.02 else 4
        return [f" @ {t:.{decimals}f} s" for t in self.times]

    def check_spacing(self, block: int, sample_rate: float) -> None:
        """Raise `ParameterError` if knots are closer than the blocks in which an effect's settings move."""
        if self.spacing * sample_rate < block:
            most = int(self.seconds * sample_rate / block) + (self.shape == "linear")
            raise ParameterError(
                f"curves: {self.knots} knots in {self.seconds:g} s are {self.spacing * sample_rate:.0f} samples apart, and the "
                f"settings of this effect move every {block} samples; use at most {most} knots"
            )

    def at_blocks(self, knots: FloatArray, count: int, block: int, sample_rate: float) -> FloatArray:
        """Values at the beginning of each block.

        Args:
            knots: `[A, M]`.
            count: blocks, `N`.
            block: samples.
            sample_rate: Hz.

        Returns:
            `[A, N]`. Equal knots give their very value.
        """
        starts = np.arange(count) * block
        samples = self.times * sample_rate
        if self.shape == "linear":
            return np.stack([np.interp(starts, samples, row) for row in knots])
        held = np.searchsorted(np.ceil(samples - 1e-6), starts, side="right") - 1
        return knots[:, held]


@dataclass(frozen=True)
class Moves:
    """The settings of a render that change while it goes on.

    Attributes:
        positions: `A` controls, by their place among all.
        values: `[A, N] in [0, 1]`, for each block from the start of the render; stepped ones at their levels.
        block: samples.
    """

    positions: tuple[int, ...]
    values: FloatArray
    block: int

    def later(self, samples: int, length: int) -> Moves:
        """The same, `samples` later, for a render of `length` samples."""
        starts = np.arange(blocks_of(length, self.block)) * self.block
        columns = np.clip((starts - samples) // self.block, 0, self.values.shape[1] - 1)
        return Moves(self.positions, self.values[:, columns], self.block)

    def changes(self) -> list[tuple[int, list[tuple[int, float]]]]:
        """The blocks at which something changes, and which of the `A` controls take which value; the first block with none."""
        blocks, controls = np.nonzero((np.diff(self.values, axis=1) != 0.0).T)
        found: list[tuple[int, list[tuple[int, float]]]] = [(0, [])]
        taken = self.values[controls, blocks + 1].tolist()
        for block, control, value in zip((blocks + 1).tolist(), controls.tolist(), taken, strict=True):
            if block != found[-1][0]:
                found.append((block, []))
            found[-1][1].append((control, value))
        return found


def blocks_of(samples: int, block: int) -> int:
    """How many blocks so many samples begin."""
    return -(-samples // block)


def moves_of(table: FloatArray, block: int) -> Moves | None:
    """What moves in `table: [F, N]`, the settings of all controls in each block; None if nothing does."""
    moving = np.flatnonzero((table != table[:, :1]).any(axis=1))
    return Moves(tuple(moving.tolist()), table[moving], block) if len(moving) else None


def check_table(values: object, count: int, samples: int, block: int) -> FloatArray:
    """`[P, N]` as float64. Raises `ParameterError` for another shape."""
    table = np.asarray(values, dtype=np.float64)
    expected = (count, blocks_of(samples, block))
    if table.shape != expected:
        raise ParameterError(
            f"settings that move have the shape [P, N] = {list(expected)}: one value for each parameter and each block of "
            f"{block} samples; got {list(table.shape)}"
        )
    return table
