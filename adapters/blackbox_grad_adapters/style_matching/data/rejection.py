"""Results that are useless for training: the effect left nothing, or only noise, of the recording.

A result is silent if its mean square is below 1e-5, and noise if its MFCCs have little in common with those of the dry recording.
MFCC: S. Davis, P. Mermelstein, IEEE TASSP 28(4), 1980, doi:10.1109/TASSP.1980.1163420, here with the constants of torchaudio at
24 kHz: 128 bands, 40 coefficients, decibels down to 80 below the loudest. The first coefficient, the level, is included.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from blackbox_grad.losses import mel_filters

#: Mean square of the quietest result: -50 dBFS.
SILENCE = 1e-5

#: Cosine of the MFCCs of dry and wet below which wet is noise.
SIMILARITY = 0.75

_COEFFICIENTS, _BANDS, _RANGE = 40, 128, 80.0

#: Window and hop, seconds: 400 and 200 samples at 24 kHz.
_WINDOW = 1 / 60


def silent(y: Tensor) -> Tensor:
    """`[B, C, T]` -> `[B] bool`."""
    return y.square().mean(dim=(1, 2)) < SILENCE


def similarity(dry: Tensor, wet: Tensor, sample_rate: float) -> Tensor:
    """Cosine of the angle between the MFCCs of two recordings: `[B, C, T]` twice -> `[B]`."""
    return torch.cosine_similarity(mfcc(dry, sample_rate).flatten(1), mfcc(wet, sample_rate).flatten(1), dim=1)


def mfcc(x: Tensor, sample_rate: float) -> Tensor:
    """`[B, C, T]` -> `[B, coefficients, frames]`, of the mean over channels."""
    size = max(16, 2 * round(sample_rate * _WINDOW / 2))
    window = torch.hann_window(size)
    power = torch.stft(x.mean(dim=1), size, size // 2, window=window, pad_mode="constant", return_complex=True).abs().square()
    decibels = 10.0 * torch.log10((mel_filters(_BANDS, size, sample_rate).T @ power).clamp_min(1e-10))
    floor = decibels.amax(dim=(1, 2), keepdim=True) - _RANGE
    return _cosines() @ torch.maximum(decibels, floor)


@functools.cache
def _cosines() -> Tensor:
    """The orthonormal DCT-II: `[coefficients, bands]`."""
    k, n = torch.arange(_COEFFICIENTS)[:, None], torch.arange(_BANDS)[None] + 0.5
    basis = torch.cos(math.pi / _BANDS * k * n) * math.sqrt(2.0 / _BANDS)
    basis[0] /= math.sqrt(2.0)
    return basis
