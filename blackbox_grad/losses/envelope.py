"""Level over time."""

from __future__ import annotations

import torch
from torch import Tensor

from blackbox_grad.losses.base import FeatureLoss


class Envelope(FeatureLoss):
    """Level over time: mean absolute difference of the envelopes, in units of 10 dB. For compressors, gates and swells.

    Root-mean-square levels of windows of 10 ms and 100 ms. Levels more than 60 dB below the target's mean do not count.
    """

    seconds = (0.01, 0.1)

    def prepare(self, target: Tensor) -> None:
        self._sizes = [min(max(2, round(s * self.sample_rate)), target.shape[-1]) for s in self.seconds]
        self._floor = max(float(target.square().mean()), 1e-18) * 1e-6

    def features(self, audio: Tensor) -> Tensor:
        power, parts = audio.square(), []
        for size in self._sizes:
            levels = torch.nn.functional.avg_pool1d(power, size, max(1, size // 2))
            parts.append(torch.log10(levels + self._floor).flatten(1))
        return torch.cat([part / (len(parts) * part.shape[1]) for part in parts], dim=1)
