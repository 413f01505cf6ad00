"""The loudness of recordings of any length and number of channels."""

from __future__ import annotations

import math
import warnings

import numpy as np

from blackbox_grad.dependencies import library
from blackbox_grad.effects import Audio

#: Seconds of a block of BS.1770.
_BLOCK = 0.4

#: Channels that pyloudnorm takes at once; their order matters from the third on.
_CHANNELS = 2

#: Hz. Below, the weighting has no filters, and the plain level counts.
_LEAST = 8000.0


def loudness(audio: Audio, sample_rate: float) -> float:
    """The integrated loudness of `[C, T]` in LUFS, with gates (ITU-R BS.1770-4, pyloudnorm); minus infinity for silence.

    Audio shorter than a block of 0.4 s is one block. From the third channel on, all count alike, each with its own gates. Below
    8 kHz the level is not weighted.
    """
    if audio.shape[1] == 0 or not audio.any():
        return -math.inf
    if len(audio) > _CHANNELS:
        return _sum([loudness(channel[None], sample_rate) for channel in audio])
    if sample_rate < _LEAST:
        return -0.691 + 10.0 * math.log10(float(np.square(audio.astype(np.float64)).mean(axis=1).sum()))
    pyloudnorm = library("pyloudnorm", "level matching", "style")
    block = min(_BLOCK, audio.shape[1] / sample_rate * (1.0 - 1e-9))
    with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
        warnings.simplefilter("ignore")
        found = float(pyloudnorm.Meter(sample_rate, block_size=block).integrated_loudness(audio.T.astype(np.float64)))
    return -math.inf if math.isnan(found) else found


def _sum(levels: list[float]) -> float:
    """The level of powers together, dB."""
    power = sum(10.0 ** (level / 10.0) for level in levels)
    return 10.0 * math.log10(power) if power else -math.inf
