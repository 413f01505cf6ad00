"""Levels of mel bands over time, from which the judges that are blind to time are computed."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from blackbox_grad.errors import AudioError
from blackbox_grad.losses import mel_filters

#: Shortest audio with a level to speak of, seconds; shorter audio is refused.
SHORTEST = 0.1


def band_powers(x: Tensor, sample_rate: float, bands: int, window: float) -> Tensor:
    """Mean power of each mel band in half-overlapping Hann windows: `[B, C, T]` -> `[B, frames, bands]`.

    Channels are averaged first. A sine at full scale has the power 1 in its band.

    Args:
        sample_rate: Hz.
        bands: on the mel scale, from 0 to half the sample rate.
        window: seconds, rounded to a power of two of samples.

    Raises:
        AudioError: the audio has another shape, or is shorter than `SHORTEST`.
    """
    if x.ndim != 3 or 0 in x.shape:
        raise AudioError(f"audio must have the shape [B, C, T] with at least one sample, got {list(x.shape)}")
    if x.shape[-1] < SHORTEST * sample_rate:
        raise AudioError(
            f"a style is judged over {SHORTEST:g} s or more, got {x.shape[-1] / sample_rate:.3f} s; give a longer recording"
        )
    size = window_size(window, sample_rate)
    mono = torch.nn.functional.pad(x.mean(dim=1), (0, max(0, size - x.shape[-1])))
    shape, filters = _window(size, x.dtype, x.device), _filters(bands, size, sample_rate, x.device)
    spectrum = torch.fft.rfft(mono.unfold(-1, size, size // 2) * shape)
    power: Tensor = (spectrum.real.square() + spectrum.imag.square()) @ filters.to(x.dtype)
    return power


def window_size(window: float, sample_rate: float) -> int:
    """Samples: the power of two that is nearest to `window` seconds."""
    return int(2 ** round(torch.tensor(window * sample_rate).log2().item()))


def decibels(power: Tensor, floor: float) -> Tensor:
    """Levels in dB, with a power of `floor` dB added, so that silence has this level."""
    return 10.0 * torch.log10(power + 10.0 ** (floor / 10.0))


@functools.lru_cache(16)
def _window(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    shape = torch.hann_window(size, dtype=dtype, device=device)
    return shape * (2.0 / shape.sum())


@functools.lru_cache(16)
def _filters(bands: int, size: int, sample_rate: float, device: torch.device) -> Tensor:
    return mel_filters(bands, size, sample_rate, averaging=True).to(device)
