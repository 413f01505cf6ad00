"""Renders of Pedalboard whose settings move: block after block without a reset, settings changed in between."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from blackbox_grad.effects import Audio, Moves
from blackbox_grad.errors import RenderError

#: Samples between two changes of a setting. Each block costs some 4 µs; with 1 024 samples, most effects take 1.1 to 1.5 times as
#: long as in one piece, with 256 up to twice as long.
CURVE_BLOCK = 1024

#: Samples of silence with which a latency is measured.
_LONGEST_LATENCY = 16384


def in_blocks(
    run: Callable[[int, int], Audio], change: Callable[[int, float], None], length: int, moves: Moves, late: int = 0
) -> Audio:
    """`[C, length]`.

    Args:
        run: continues the effect from one sample to another. Pedalboard drops the latency from the start, so it may return less.
        change: sets one of the controls that move, by its place in `moves.positions`, to a value in [0, 1].
        length: samples.
        moves: what changes, and when; the effect has the settings of the first block already.
        late: samples of latency, by which settings are delayed. It then runs for so many samples more.
    """
    if late:
        moves = moves.later(late, length + late)
    changes = moves.changes()
    ends = [*(start * moves.block for start, _ in changes[1:]), length + late]
    parts = []
    for (start, changed), end in zip(changes, ends, strict=True):
        for control, value in changed:
            change(control, value)
        parts.append(run(start * moves.block, end))
    result: Audio = np.concatenate(parts, axis=1)
    if result.shape[1] < length:
        raise RenderError(f"in blocks the effect returned {result.shape[1]} samples of {length}; its settings cannot move")
    return np.ascontiguousarray(result[:, result.shape[1] - length :])


def latency(run: Callable[[Audio], Audio], channels: int) -> int:
    """How many samples less than it got an effect returns at first, in the same blocks."""
    silence = np.zeros((channels, CURVE_BLOCK), np.float32)
    return sum(CURVE_BLOCK - run(silence).shape[1] for _ in range(_LONGEST_LATENCY // CURVE_BLOCK))
