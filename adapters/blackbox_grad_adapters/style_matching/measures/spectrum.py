"""The judge *spectrum*: how bright, dark, thin or coloured a sound is."""

from __future__ import annotations

from torch import Tensor

from blackbox_grad_adapters.style_matching.measures.bands import band_powers, decibels

#: Mel bands, and the length of a window in seconds.
_BANDS, _WINDOW = 80, 0.043

#: Level below which nothing is heard, dB of full scale. The peak of the audio is at -12.
_FLOOR = -90.0


def spectrum(x: Tensor, sample_rate: float) -> tuple[Tensor, ...]:
    """Mean over time of the levels of 80 mel bands: audio `[B, C, T]` at a rate in Hz -> `[B, 80]`, dB."""
    return (decibels(band_powers(x, sample_rate, _BANDS, _WINDOW), _FLOOR).mean(dim=1),)
