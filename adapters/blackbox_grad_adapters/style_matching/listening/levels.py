"""Sounds of equal loudness, without clipping."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from blackbox_grad.audio_files import peak_decibels
from blackbox_grad_adapters.style_matching.listening.items import Item
from blackbox_grad_adapters.style_matching.loudness import loudness as loudness

#: LUFS, of all sounds of a test if their peaks allow it (EBU R 128).
TARGET = -23.0

#: dBFS. No sample is larger.
PEAK = -1.0

#: LUFS. A test that had to become quieter than this is hard to hear.
_QUIET = -36.0


@dataclass(frozen=True)
class Levels:
    """What was done to the loudness.

    Attributes:
        loudness: LUFS, of every sound that is not silent.
        gains: dB, the smallest and the largest that was applied.
    """

    loudness: float
    gains: tuple[float, float]


def level_matched(items: Sequence[Item]) -> tuple[list[Item], Levels]:
    """All sounds of all items at one loudness: at `TARGET`, or lower where a peak would pass `PEAK`. Silence stays silence."""
    found = {(i, name): loudness(a, item.sample_rate) for i, item in enumerate(items) for name, a in item.sounds.items()}
    for (i, name), level in found.items():
        if math.isinf(level):
            warnings.warn(f"{items[i].title}: {name} is silent", stacklevel=2)
    room = {
        (i, name): PEAK - peak_decibels(items[i].sounds[name]) + level
        for (i, name), level in found.items()
        if math.isfinite(level)
    }
    target = min([TARGET, *room.values()])
    if target < _QUIET:
        i, name = min(room, key=room.__getitem__)
        warnings.warn(
            f"{items[i].title}: {name} has peaks so far above its loudness that all sounds are turned down to {target:.0f} LUFS; "
            "without it the test is louder",
            stacklevel=2,
        )
    gains = {key: target - level for key, level in found.items() if math.isfinite(level)}
    matched = [
        replace(
            item,
            sounds={
                name: (audio * np.float32(10.0 ** (gains.get((i, name), 0.0) / 20.0))).astype(np.float32)
                for name, audio in item.sounds.items()
            },
        )
        for i, item in enumerate(items)
    ]
    return matched, Levels(target, (min(gains.values(), default=0.0), max(gains.values(), default=0.0)))
