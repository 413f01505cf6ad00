"""The base of losses: a weighted sum of absolute differences between the features of a recording and of the target."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class FeatureLoss(ABC):
    """The distance to a target, one number per item.

    Args:
        target: `[C, T]`.
        sample_rate: Hz.
    """

    def __init__(self, target: Tensor, sample_rate: float) -> None:
        self.sample_rate = sample_rate
        self.prepare(target)
        with torch.no_grad():
            self.target = self.features(target[None])[0]

    @abstractmethod
    def prepare(self, target: Tensor) -> None:
        """Choose scales from the target, `[C, T]`, before its features are computed."""

    @abstractmethod
    def features(self, audio: Tensor) -> Tensor:
        """`[B, C, T]` -> `[B, N]`, weighted, so that the loss is a plain sum. Differentiable."""

    def residuals(self, audio: Tensor) -> Tensor:
        """`[B, C, T]` -> `[B, N]`: `features(audio) - features(target)`."""
        return self.features(audio) - self.target

    def __call__(self, audio: Tensor) -> Tensor:
        """`[B, C, T]` -> `[B]`."""
        return self.residuals(audio).abs().sum(dim=1)
