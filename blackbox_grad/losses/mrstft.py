"""Spectrograms at several resolutions."""

from __future__ import annotations

import torch
from torch import Tensor

from blackbox_grad.errors import AudioError
from blackbox_grad.losses.base import FeatureLoss
from blackbox_grad.losses.spectra import power_spectrogram


class MultiResolutionSTFT(FeatureLoss):
    """Spectrograms at several resolutions, log and linear magnitudes.

    R. Yamamoto, E. Song, J.-M. Kim, "Parallel WaveGAN", ICASSP 2020, arXiv:1910.11480; here without spectral convergence, and
    with the linear term relative to the target's mean magnitude. The logarithm has a floor 60 dB below the target's
    root-mean-square magnitude: what is below it does not count.
    """

    sizes = (512, 2048, 8192)

    def prepare(self, target: Tensor) -> None:
        fitting = [n for n in self.sizes if n <= target.shape[-1]]
        if not fitting:
            raise AudioError(
                f"the loss 'mrstft' needs {self.sizes[0]} samples or more, got {target.shape[-1]}; give more audio, or choose 'l1'"
            )
        self._windows = [torch.hann_window(n, dtype=torch.float32) for n in fitting]
        self._scales = []
        for window in self._windows:
            power = power_spectrogram(target[None], window)
            mean = float(power.sqrt().mean())
            self._scales.append((max(mean, 1e-9), max(float(power.mean()), 1e-18) * 1e-6))

    def features(self, audio: Tensor) -> Tensor:
        parts = []
        for window, (mean, floor) in zip(self._windows, self._scales, strict=True):
            power = power_spectrogram(audio, window).flatten(1)
            weight = 1.0 / (len(self._windows) * power.shape[1])
            parts += [torch.log(power + floor) * (weight / 2), torch.sqrt(power + floor) * (weight / mean)]
        return torch.cat(parts, dim=1)
