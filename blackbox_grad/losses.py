"""How far one recording is from another, as a sum of absolute differences of features.

`L(y) = Σ_n |features(y)_n - features(target)_n|`. All losses here have this form, so each is a number and a vector of residuals,
and the target's features are computed once. The level counts in every one of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor

from blackbox_grad.errors import AudioError, suggest


class FeatureLoss(ABC):
    """The distance to a target, one number an item.

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


class MultiResolutionSTFT(FeatureLoss):
    """Spectrograms at several resolutions, log and linear magnitudes.

    R. Yamamoto, E. Song, J.-M. Kim, "Parallel WaveGAN", ICASSP 2020, arXiv:1910.11480; here without spectral convergence, and
    with the linear term relative to the target's mean magnitude. The logarithm has a floor 60 dB below the target's
    root-mean-square magnitude: what lies deeper does not count.
    """

    sizes = (512, 2048, 8192)

    def prepare(self, target: Tensor) -> None:
        fitting = [n for n in self.sizes if n <= target.shape[-1]]
        if not fitting:
            raise AudioError(
                f"the loss 'mrstft' needs {self.sizes[0]} samples or more, got {target.shape[-1]}; give more audio, or choose 'l1'"
            )
        self._windows = [torch.hann_window(n) for n in fitting]
        self._scales = []
        for window in self._windows:
            power = self._power(target[None], window)
            mean = float(power.sqrt().mean())
            self._scales.append((max(mean, 1e-9), max(float(power.mean()), 1e-18) * 1e-6))

    def features(self, audio: Tensor) -> Tensor:
        parts = []
        for window, (mean, floor) in zip(self._windows, self._scales, strict=True):
            power = self._power(audio, window)
            weight = 1.0 / (len(self._windows) * power.shape[1])
            parts += [torch.log(power + floor) * (weight / 2), torch.sqrt(power + floor) * (weight / mean)]
        return torch.cat(parts, dim=1)

    @staticmethod
    def _power(audio: Tensor, window: Tensor) -> Tensor:
        """`[B, C, T]` -> `[B, C·frames·frequencies]`; half of a window apart. Twice as fast as `torch.stft`."""
        size = len(window)
        padded = torch.nn.functional.pad(audio, (size // 2, size // 2))
        spectrum = torch.fft.rfft(padded.unfold(-1, size, size // 2) * window)
        power: Tensor = spectrum.real.square() + spectrum.imag.square()
        return power.flatten(1)


class Waveform(FeatureLoss):
    """Mean absolute difference of the samples, relative to the target's. Only for effects that leave the phase alone."""

    def prepare(self, target: Tensor) -> None:
        self._weight = 1.0 / (target.numel() * max(float(target.abs().mean()), 1e-9))

    def features(self, audio: Tensor) -> Tensor:
        return audio.flatten(1) * self._weight


#: name -> loss
LOSSES: dict[str, Callable[[Tensor, float], FeatureLoss]] = {"mrstft": MultiResolutionSTFT, "l1": Waveform}


def loss_for(name: str, target: Tensor, sample_rate: float) -> FeatureLoss:
    """The loss of this name, for a target `[C, T]`."""
    if name not in LOSSES:
        raise AudioError(f"no loss {name!r}; {suggest(str(name), LOSSES)}")
    return LOSSES[name](target, sample_rate)
