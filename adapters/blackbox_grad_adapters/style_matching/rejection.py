"""What no network should learn from: effects set so that nothing, or only noise, is left of the recording.

A result is silent if its mean square is below 1e-5, and noise if its MFCCs have little in common with those of the dry recording.
MFCC: S. Davis, P. Mermelstein, IEEE TASSP 28(4), 1980, doi:10.1109/TASSP.1980.1163420.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

#: Mean square of the quietest result: -50 dBFS.
SILENCE = 1e-5

#: Cosine of the MFCCs of dry and wet below which wet is noise.
SIMILARITY = 0.75

_COEFFICIENTS, _BANDS, _WINDOW = 20, 40, 2048


def silent(y: Tensor) -> Tensor:
    """`[B, C, T]` -> `[B] bool`."""
    return y.square().mean(dim=(1, 2)) < SILENCE


def similarity(x: Tensor, y: Tensor, sample_rate: float) -> Tensor:
    """Cosine of the angle between the MFCCs of two recordings, averaged over frames: `[B, C, T]` twice -> `[B]`."""
    return torch.cosine_similarity(_mfcc(x, sample_rate), _mfcc(y, sample_rate), dim=1).mean(dim=1)


def _mfcc(x: Tensor, sample_rate: float) -> Tensor:
    """`[B, C, T]` -> `[B, coefficients, frames]`, of the mean over channels, without the level."""
    window = torch.hann_window(_WINDOW)
    spectrum = torch.stft(x.mean(dim=1), _WINDOW, window=window, return_complex=True, pad_mode="constant").abs().square()
    decibels = 10.0 * torch.log10(mel_filters(sample_rate, _WINDOW, _BANDS) @ spectrum + 1e-10)
    decibels = decibels.clamp_min(decibels.amax(dim=(1, 2), keepdim=True) - 80.0)
    return _cosines() @ decibels


@functools.cache
def _cosines() -> Tensor:
    """The orthonormal DCT-II, `[coefficients, bands]`."""
    k, n = torch.arange(_COEFFICIENTS)[:, None], torch.arange(_BANDS)[None] + 0.5
    basis = torch.cos(math.pi / _BANDS * k * n) * math.sqrt(2.0 / _BANDS)
    basis[0] /= math.sqrt(2.0)
    return basis


@functools.cache
def mel_filters(sample_rate: float, window: int, bands: int) -> Tensor:
    """Triangles equally spaced on the mel scale (O'Shaughnessy, 2595·log10(1 + f/700)): `[bands, window // 2 + 1]`."""
    highest = 2595.0 * math.log10(1.0 + sample_rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, highest, bands + 2) / 2595.0) - 1.0)
    bins = torch.linspace(0.0, sample_rate / 2, window // 2 + 1)
    low, centre, high = (edges[i : i + bands, None] for i in range(3))
    return torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp_min(0.0)
