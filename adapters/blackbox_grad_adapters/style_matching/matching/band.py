"""The band of frequencies that two recordings share: what lies above it in one of them is not a style."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.audio_files import resample


class Band:
    """Leaves of audio what a recording at a lower sample rate can hold. Otherwise a reference at 16 kHz would sound muffled.

    Args:
        sample_rate: Hz, of the audio.
        rates: Hz, of the recordings that are compared.
    """

    def __init__(self, sample_rate: float, *rates: float) -> None:
        self.sample_rate, self.lowest = sample_rate, min((sample_rate, *rates))

    def __call__(self, x: Tensor) -> Tensor:
        """`[B, C, T]` -> `[B, C, T]`; the same tensor where no rate is lower."""
        if self.lowest >= self.sample_rate:
            return x
        flat = x.flatten(0, 1).numpy()
        lowered = resample(resample(flat, self.sample_rate, self.lowest), self.lowest, self.sample_rate)
        padded = np.pad(lowered, ((0, 0), (0, max(0, x.shape[-1] - lowered.shape[-1]))))[:, : x.shape[-1]]
        return torch.from_numpy(np.ascontiguousarray(padded)).reshape(x.shape)
