"""The samples themselves."""

from __future__ import annotations

from torch import Tensor

from blackbox_grad.losses.base import FeatureLoss


class Waveform(FeatureLoss):
    """Mean absolute difference of the samples, relative to the target's. Only for effects that do not change the phase."""

    def prepare(self, target: Tensor) -> None:
        self._weight = 1.0 / (target.numel() * max(float(target.abs().mean()), 1e-9))

    def features(self, audio: Tensor) -> Tensor:
        return audio.flatten(1) * self._weight
