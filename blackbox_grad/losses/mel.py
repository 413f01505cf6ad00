"""Log-mel spectrograms."""

from __future__ import annotations

import torch
from torch import Tensor

from blackbox_grad.errors import AudioError
from blackbox_grad.losses.base import FeatureLoss
from blackbox_grad.losses.spectra import mel_filters, power_spectrogram


class Mel(FeatureLoss):
    """Log-mel spectrogram: mean absolute difference of the band levels, in units of 10 dB.

    Bands on the scale of S. S. Stevens, J. Volkmann, E. B. Newman, "A scale for the measurement of the psychological magnitude
    pitch", J. Acoust. Soc. Am. 8(3), 1937, in O'Shaughnessy's formula. Levels more than 60 dB below the target's mean level
    do not count.
    """

    size, bands = 2048, 80

    def prepare(self, target: Tensor) -> None:
        if target.shape[-1] < 64:
            raise AudioError(
                f"the loss 'mel' needs 64 samples or more, got {target.shape[-1]}; give more audio, or choose 'l1'"
            )
        size = min(self.size, 1 << (target.shape[-1].bit_length() - 1))
        self._window = torch.hann_window(size, dtype=torch.float32)
        self._bands = mel_filters(min(self.bands, size // 8), size, self.sample_rate, averaging=True)
        self._floor = max(float(self._power(target[None]).mean()), 1e-18) * 1e-6

    def features(self, audio: Tensor) -> Tensor:
        levels = torch.log10(self._power(audio) + self._floor).flatten(1)
        return levels / levels.shape[1]

    def _power(self, audio: Tensor) -> Tensor:
        """`[B, C, T]` -> `[B, C, frames, bands]`."""
        return power_spectrogram(audio, self._window) @ self._bands
