"""A third party's loss, in its own module: it needs torch, and host processes import the effects without torch."""

from __future__ import annotations

from blackbox_grad.losses import FeatureLoss


class Doubled(FeatureLoss):
    """Twice the mean absolute difference of the samples, which shows that this loss was used."""

    def prepare(self, target):
        self._weight = 2.0 / target.numel()

    def features(self, audio):
        return audio.flatten(1) * self._weight
