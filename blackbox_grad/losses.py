"""How far one recording is from another, as a sum of absolute differences of features.

`L(y) = Σ_n |features(y)_n - features(target)_n|`. All losses here have this form, so each is a number and a vector of residuals,
and the target's features are computed once. The level counts in every one of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

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
            power = _spectrogram(target[None], window)
            mean = float(power.sqrt().mean())
            self._scales.append((max(mean, 1e-9), max(float(power.mean()), 1e-18) * 1e-6))

    def features(self, audio: Tensor) -> Tensor:
        parts = []
        for window, (mean, floor) in zip(self._windows, self._scales, strict=True):
            power = _spectrogram(audio, window).flatten(1)
            weight = 1.0 / (len(self._windows) * power.shape[1])
            parts += [torch.log(power + floor) * (weight / 2), torch.sqrt(power + floor) * (weight / mean)]
        return torch.cat(parts, dim=1)


class Waveform(FeatureLoss):
    """Mean absolute difference of the samples, relative to the target's. Only for effects that leave the phase alone."""

    def prepare(self, target: Tensor) -> None:
        self._weight = 1.0 / (target.numel() * max(float(target.abs().mean()), 1e-9))

    def features(self, audio: Tensor) -> Tensor:
        return audio.flatten(1) * self._weight


class Mel(FeatureLoss):
    """Log-mel spectrogram: mean absolute difference of the band levels, in units of 10 dB.

    Bands on the scale of S. S. Stevens, J. Volkmann, E. B. Newman, "A scale for the measurement of the psychological magnitude
    pitch", J. Acoust. Soc. Am. 8(3), 1937, in O'Shaughnessy's formula. What lies deeper than 60 dB below the target's mean level
    does not count.
    """

    size, bands = 2048, 80

    def prepare(self, target: Tensor) -> None:
        if target.shape[-1] < 64:
            raise AudioError(
                f"the loss 'mel' needs 64 samples or more, got {target.shape[-1]}; give more audio, or choose 'l1'"
            )
        size = min(self.size, 1 << (target.shape[-1].bit_length() - 1))
        self._window = torch.hann_window(size)
        self._bands = _mel_bands(min(self.bands, size // 8), size, self.sample_rate)
        self._floor = max(float(self._power(target[None]).mean()), 1e-18) * 1e-6

    def features(self, audio: Tensor) -> Tensor:
        levels = torch.log10(self._power(audio) + self._floor).flatten(1)
        return levels / levels.shape[1]

    def _power(self, audio: Tensor) -> Tensor:
        """`[B, C, T]` -> `[B, C, frames, bands]`."""
        return _spectrogram(audio, self._window) @ self._bands


class Envelope(FeatureLoss):
    """Level over time: mean absolute difference of the envelopes, in units of 10 dB. For what compresses, gates or swells.

    Root-mean-square levels of windows of 10 ms and 100 ms; those deeper than 60 dB below the target's mean do not count.
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


class Sum(FeatureLoss):
    """Several losses, each with a weight.

    Args:
        weights: loss -> weight.
        target, sample_rate: as for any loss.
    """

    def __init__(self, weights: Mapping[str, float], target: Tensor, sample_rate: float) -> None:
        self._parts = [(weight, loss_for(name, target, sample_rate)) for name, weight in weights.items()]
        super().__init__(target, sample_rate)

    def prepare(self, target: Tensor) -> None:
        pass

    def features(self, audio: Tensor) -> Tensor:
        return torch.cat([weight * loss.features(audio) for weight, loss in self._parts], dim=1)


def _spectrogram(audio: Tensor, window: Tensor) -> Tensor:
    """`[B, C, T]` -> power `[B, C, frames, frequencies]`, half a window apart. Twice as fast as `torch.stft`."""
    size = len(window)
    padded = torch.nn.functional.pad(audio, (size // 2, size // 2))
    spectrum = torch.fft.rfft(padded.unfold(-1, size, size // 2) * window)
    power: Tensor = spectrum.real.square() + spectrum.imag.square()
    return power


def _mel_bands(count: int, size: int, sample_rate: float) -> Tensor:
    """`[frequencies, count]`: triangles that overlap by half, each of sum 1."""
    top = 2595.0 * math.log10(1.0 + sample_rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, top, count + 2) / 2595.0) - 1.0)
    frequencies = torch.linspace(0.0, sample_rate / 2, size // 2 + 1)
    # narrow triangles, at low frequencies, are as wide as a bin
    width = torch.diff(edges).clamp(min=sample_rate / size)
    rising = (frequencies[:, None] - edges[1:-1] + width[:-1]) / width[:-1]
    falling = (edges[1:-1] + width[1:] - frequencies[:, None]) / width[1:]
    bands = torch.minimum(rising, falling).clamp(min=0.0)
    return bands / bands.sum(0)


#: name -> loss
LOSSES: dict[str, Callable[[Tensor, float], FeatureLoss]] = {
    "mrstft": MultiResolutionSTFT,
    "mel": Mel,
    "envelope": Envelope,
    "l1": Waveform,
}


def loss_for(name: str, target: Tensor, sample_rate: float) -> FeatureLoss:
    """The loss of this name, or a weighted sum such as "mrstft + 0.5*envelope", for a target `[C, T]`."""
    weights = _weights(str(name))
    if list(weights.values()) == [1.0]:
        return LOSSES[next(iter(weights))](target, sample_rate)
    return Sum(weights, target, sample_rate)


def _weights(text: str) -> dict[str, float]:
    """
    >>> _weights("mrstft + 0.5*l1")
    {'mrstft': 1.0, 'l1': 0.5}
    """
    weights: dict[str, float] = {}
    for term in text.split("+"):
        factor, _, name = term.rpartition("*")
        name = name.strip()
        if name not in LOSSES:
            raise AudioError(f"no loss {name!r}; {suggest(name, LOSSES)}. Sums are written as 'mrstft + 0.5*envelope'")
        try:
            weight = float(factor or 1.0)
        except ValueError:
            weight = math.nan
        if not 0.0 < weight < math.inf:
            raise AudioError(f"loss {text!r}: the weight {factor.strip()!r} of {name!r} must be a positive number")
        weights[name] = weights.get(name, 0.0) + weight
    return weights
