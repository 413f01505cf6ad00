"""The level of a result: an effect that is also louder seems better, so by default it is as loud as the input."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, get_args

import numpy as np

from blackbox_grad.effects import Audio
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.effect_path import PEAK
from blackbox_grad_adapters.style_matching.loudness import loudness

#: The output is as loud as the input, has its peak, or stays as it leaves the effect.
Level: TypeAlias = Literal["loudness", "peak", "none"]

#: The largest sample of a result of a given loudness: the largest of 16 bits.
FULL = 1.0 - 2.0**-15

#: A peak below this, -100 dBFS, is silence.
_SILENCE = 1e-5


def output_gain(y: Audio, audio: Audio, sample_rate: float, level: Level) -> tuple[float, float]:
    """The gain (dB) of an effect's output `y: [C, T]` for its input `audio: [C, T]`, and by how much it is too small (dB).

    Loudness is that of ITU-R BS.1770, measured with both peaks at -12 dBFS, so that the gates treat quiet recordings as loud ones.
    The result then has no sample beyond full scale: if its peaks would pass that, it is quieter than the input, and no limiter
    touches it. Silence has a gain of 0 dB.

    Args:
        sample_rate: Hz.

    Raises:
        AudioError: the level is unknown.
    """
    if level not in get_args(Level):
        raise AudioError(f"level={level!r} is unknown; allowed are {', '.join(map(repr, get_args(Level)))}")
    peaks = [float(np.abs(a).max(initial=0.0)) for a in (y, audio)]
    if level == "none" or min(peaks) < _SILENCE:
        return 0.0, 0.0
    gain = 20.0 * math.log10(peaks[1] / peaks[0])
    if level == "peak":
        return gain, 0.0
    there, wanted = (loudness(a * np.float32(PEAK / peak), sample_rate) for a, peak in zip((y, audio), peaks, strict=True))
    if math.isfinite(there) and math.isfinite(wanted):
        gain += wanted - there
    most = 20.0 * math.log10(FULL / peaks[0])
    return min(gain, most), max(0.0, gain - most)
