"""Representations of audio for an encoder, in which effects are visible.

Each turns windows of one length, `[B, T]`, into features that do not depend on the level.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from blackbox_grad.errors import AudioError
from blackbox_grad.losses import mel_filters


class Statistics(nn.Module):
    """Traces of an effect, in statistics over the whole window: `[B, T]` -> `[B, F]`.

    They do not contain *when* something happened, so they are similar for two parts of one recording. Every family of effects
    changes some of them:

    - the log-mel spectrum: its mean, spread and quantiles over time, and the long-term spectrum on a linear axis (filters,
      distortion, ring modulation);
    - rises and falls of the level in eight bands over 10 to 700 ms (dynamics, reverbs, echoes);
    - the modulation spectrum of these levels (tremolo, rotating speakers, echoes);
    - the power cepstrum of the window up to 800 ms, where an echo is a peak at its delay (Bogert, Healy, Tukey 1963), and the
      mean and spread of short-time cepstra up to 10 ms (combs, flangers); of both the highest peaks, as times and heights;
    - the distribution of samples, of their differences, and of levels and crest factors in frames of 3, 20 and 170 ms
      (distortion, compressors, limiters, gates).

    Args:
        sample_rate: Hz.
        length: samples `T` of a window.
    """

    BANDS, GROUPS = 40, 8
    LAGS = (1, 2, 4, 8, 16, 32, 64)  # frames, 10.7 ms apart
    LEVELS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)

    mel: Tensor
    short: Tensor
    long: Tensor

    def __init__(self, sample_rate: float, length: int) -> None:
        super().__init__()
        self.frame = 2 ** round(np.log2(sample_rate * 1024 / 24000))  # 43 ms
        self.hop = self.frame // 4
        self.step = max(1, round(0.004 * sample_rate))  # hop of the long cepstrum
        self.skipped = round(0.002 * sample_rate)
        self.quefrencies = max(2, round(0.010 * sample_rate) // 2 * 2)
        self.echoes = min(200, (length - self.skipped) // self.step)
        self.pitches = min(5, self.echoes // 2)  # bins of the long cepstrum in which voices have peaks: up to 22 ms
        self.frames = (length - self.frame) // self.hop + 1
        if self.frames <= max(self.LAGS) + 1:
            needed = (max(self.LAGS) + 2) * self.hop + self.frame
            raise AudioError(f"an encoder at {sample_rate:g} Hz needs windows of {needed} samples or more, got {length}")
        edges = np.geomspace(1, self.frames // 2 + 1, 18).round().astype(int)
        self.modulations = sorted(set(edges.tolist()))
        filters = mel_filters(self.BANDS, self.frame, sample_rate)
        self.register_buffer("mel", filters / filters.sum(0).clamp_min(1e-9), persistent=False)
        self.register_buffer("short", torch.hann_window(self.frame), persistent=False)
        self.register_buffer("long", torch.hann_window(2 * self.frame), persistent=False)
        with torch.no_grad():
            self.shape = self(torch.zeros(1, length)).shape[1:]

    def forward(self, x: Tensor) -> Tensor:
        x = x / (x.square().mean(dim=-1, keepdim=True).sqrt() + 1e-6)
        return self.of_power(x, _power(x.unfold(-1, self.frame, self.hop) * self.short) / self.short.square().sum())

    def of_power(self, x: Tensor, power: Tensor) -> Tensor:
        """The features of a level window, and of its power spectrogram `[B, frames, frequencies]`."""
        bands = power @ self.mel
        levels = _decibels(bands, 1e-6).transpose(1, 2)  # [B, bands, frames]
        groups = _decibels(bands.unflatten(2, (self.GROUPS, -1)).mean(dim=3), 1e-6).transpose(1, 2)
        return torch.cat(
            [
                *(part / 10 for part in self._spectrum(levels, power)),
                *(part / 5 for part in self._movements(groups)),
                self._modulation(groups),
                *self._echoes(x),
                *self._combs(x),
                *self._amplitudes(x),
                *(part / 10 for part in self._dynamics(x)),
            ],
            dim=1,
        )

    def _spectrum(self, levels: Tensor, power: Tensor) -> list[Tensor]:
        mean = power.mean(dim=1)[:, : self.frame // 2].unflatten(1, (128, -1)).mean(dim=2)
        spread = _quantiles(levels, (0.05, 0.25, 0.5, 0.75, 0.95))
        return [levels.mean(dim=-1), levels.std(dim=-1), spread, _decibels(mean, 1e-7)]

    def _movements(self, groups: Tensor) -> list[Tensor]:
        parts = []
        for lag in self.LAGS:
            change = groups[..., lag:] - groups[..., :-lag]
            for side in (change.clamp_min(0), (-change).clamp_min(0)):
                parts += [side.mean(dim=-1), side.square().mean(dim=-1).sqrt()]
            parts.append(_quantiles(change, (0.05, 0.5, 0.95)))
        return parts

    def _modulation(self, groups: Tensor) -> Tensor:
        window = torch.hann_window(self.frames, device=groups.device)
        spectrum = _power((groups - groups.mean(dim=-1, keepdim=True)) * window)
        bands = zip(self.modulations[:-1], self.modulations[1:], strict=True)
        return torch.cat([torch.log(spectrum[..., low:high].mean(dim=-1) + 0.1) / 2 for low, high in bands], dim=1)

    def _echoes(self, x: Tensor) -> list[Tensor]:
        cepstrum = torch.fft.irfft(self._log_spectrum(x))
        bins = cepstrum[:, self.skipped : self.skipped + self.step * self.echoes].unflatten(1, (-1, self.step))
        return [bins.amax(dim=-1) * 30, bins.amin(dim=-1) * 30, *_peaks(bins[:, self.pitches :].amax(dim=-1) * 30, 6)]

    def _log_spectrum(self, x: Tensor) -> Tensor:
        return torch.log(_power(x, 2 * x.shape[-1]) + 1e-3)

    def _combs(self, x: Tensor) -> list[Tensor]:
        cepstra = torch.fft.irfft(torch.log(_power(x.unfold(-1, 2 * self.frame, self.frame) * self.long) + 1e-3))
        bins = cepstra[..., 1 : 1 + self.quefrencies].unflatten(2, (-1, 2)).mean(dim=-1) * 10
        mean = bins.mean(dim=1)
        return [mean, bins.std(dim=1), *_peaks(mean[:, self.quefrencies // 20 :], 3)]

    def _amplitudes(self, x: Tensor) -> list[Tensor]:
        few = x[:, ::8], (x[:, 1:] - x[:, :-1])[:, ::8]
        return [torch.log(_quantiles(part.abs(), self.LEVELS) + 1e-3) for part in few]

    def _dynamics(self, x: Tensor) -> list[Tensor]:
        parts = []
        for size in (self.frame // 16, self.frame // 2, 4 * self.frame):
            frames = x[:, : x.shape[1] // size * size].unflatten(1, (-1, size))
            level = _decibels(frames.square().mean(dim=-1), 1e-6)
            crest = _decibels(frames.abs().amax(dim=-1).square(), 1e-6) - level
            parts += [_quantiles(level, (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 1.0)), _quantiles(crest, (0.1, 0.5, 0.9))]
            parts.append(crest.std(dim=-1, keepdim=True))
        return parts


class Spectrogram(nn.Module):
    """The original's representation: magnitudes of an STFT (4096, hop 1024) to the power of 0.3, standardised per item.

    `[B, T]` -> `[B, 1, frequencies, frames]`. The sizes are in samples, at every sample rate.
    """

    SIZE, HOP, EXPONENT = 4096, 1024, 0.3
    window: Tensor

    def __init__(self, sample_rate: float, length: int) -> None:
        super().__init__()
        if length <= self.SIZE // 2:
            raise AudioError(f"the encoder 'paper' needs windows of more than {self.SIZE // 2} samples, got {length}")
        self.register_buffer("window", torch.hann_window(self.SIZE), persistent=False)
        self.shape = torch.Size((1, self.SIZE // 2 + 1, length // self.HOP + 1))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.stft(x, self.SIZE, self.HOP, window=self.window, return_complex=True)
        magnitude = (spectrum.real.square() + spectrum.imag.square()).clamp_min(1e-12) ** (self.EXPONENT / 2)
        mean, scale = magnitude.mean(dim=(1, 2), keepdim=True), magnitude.std(dim=(1, 2), keepdim=True)
        return ((magnitude - mean) / (scale + 1e-6)).unsqueeze(1)


def _power(x: Tensor, size: int | None = None) -> Tensor:
    """Power spectrum of the last axis; squaring the parts is three times as fast as `abs`."""
    spectrum = torch.fft.rfft(x, size)
    power: Tensor = spectrum.real.square() + spectrum.imag.square()
    return power


def _decibels(power: Tensor, floor: float) -> Tensor:
    return 10.0 * torch.log10(power + floor)


def _peaks(bins: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The highest bins of `[B, N]`: heights and places (0 to 4), highest first."""
    heights, places = bins.topk(min(count, bins.shape[1]), dim=1)
    return heights, places * (4 / bins.shape[1])


def _quantiles(x: Tensor, shares: tuple[float, ...]) -> Tensor:
    """Order statistics of the last axis, `[B, …, N]` -> `[B, …·shares]`."""
    ordered = x.sort(dim=-1).values
    places = [round(share * (x.shape[-1] - 1)) for share in shares]
    return ordered[..., places].flatten(1)
