"""The representation of the style encoder: statistics of stereo audio at 44.1 kHz, which hear up to 20 kHz."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn

from blackbox_grad.losses import mel_filters
from blackbox_grad_adapters.style_matching.networks.representations import Statistics, _decibels, _power, _quantiles

#: The level of digital silence beside a window's mean, as power.
_FLOOR = 1e-6

#: Hz, below which phases are followed.
_STEADY = 8000.0


class WideStatistics(nn.Module):
    """`Statistics` of the middle of two channels, and more traces of effects: `[B, 2, T]` -> `[B, F]`, whatever the level.

    Beyond `Statistics`, here with 48 mel bands up to half the sample rate:

    - the flatness of the spectrum in eight bands (noise, intermodulation, bit reduction), and the correlation of the levels of
      bands (distortion and compression make bands move together);
    - envelopes in six bands, a value every 3 ms: their autocorrelation from 6 to 900 ms (echoes of what has no pitch), and their
      modulation spectrum from 0.7 to 170 Hz (tremolos, ring modulators, reverberation);
    - the rotation of phase between frames, compared with the frame before (vibrato, choruses, pitch shifters);
    - the shape of the wave: skewness, kurtosis, the ratio of the two peaks, and the share of samples that repeat the one before or
      lie at the peak (tubes, clippers, reduced sample rates);
    - the two channels: in eight bands the level of the side beside the middle and of left beside right, how both move, and the
      modulation spectrum of the balance (panners, wideners, echoes from side to side). They are constant for mono audio.

    Args:
        sample_rate: Hz.
        length: samples `T` of a window.

    Attributes:
        stereo: the number of features of the two channels; they are the last ones.
    """

    GROUPS, ENVELOPES = 8, 6
    FINE_FRAME, FINE_HOP = 512, 128

    short: Tensor
    groups: Tensor
    flat: Tensor
    turns: Tensor
    fine: Tensor
    envelopes: Tensor

    def __init__(self, sample_rate: float, length: int) -> None:
        super().__init__()
        self.middle = _Middle(sample_rate, length)
        self.frame, self.hop = self.middle.frame, self.middle.hop
        frames = (length - self.FINE_FRAME) // self.FINE_HOP + 1
        self._lags = _edges(2, min(round(0.9 * sample_rate / self.FINE_HOP), frames // 2), 48)
        self._rates = _edges(2, frames // 2 - 2, 24)
        self._slow = _edges(1, self.middle.frames // 4, 12)
        self.register_buffer("short", torch.hann_window(self.frame), persistent=False)
        self.register_buffer("groups", mel_filters(self.GROUPS, self.frame, sample_rate), persistent=False)
        self.register_buffer("flat", self.groups / self.groups.sum(dim=0), persistent=False)
        self.register_buffer("turns", self.groups[: round(_STEADY / sample_rate * self.frame)], persistent=False)
        self.register_buffer("fine", torch.hann_window(self.FINE_FRAME), persistent=False)
        self.register_buffer("envelopes", mel_filters(self.ENVELOPES, self.FINE_FRAME, sample_rate), persistent=False)
        with torch.no_grad():
            silence = torch.zeros(1, 2, length)
            self.stereo = self._channels(self._spectra(silence)).shape[1]
            self.shape = self(silence).shape[1:]

    def forward(self, x: Tensor) -> Tensor:
        level = x.mean(dim=1, keepdim=True).square().mean(dim=2, keepdim=True).sqrt()
        x = x / (level + 0.05 * x.square().mean(dim=(1, 2), keepdim=True).sqrt() + 1e-6)
        middle, spectra = x.mean(dim=1), self._spectra(x)
        spectrum = spectra.mean(dim=1)
        power = spectrum.real.square() + spectrum.imag.square()
        parts = [self.middle.of_power(middle, power), *self._tones(spectrum, power)]
        parts += [*self._envelopes(middle), *self._shape(middle)]
        return torch.cat([*parts, self._channels(spectra)], dim=1)

    def _spectra(self, x: Tensor) -> Tensor:
        """`[B, 2, T]` -> complex `[B, 2, frames, frequencies]`."""
        spectra: Tensor = torch.fft.rfft(x.unfold(-1, self.frame, self.hop) * self.short) / self.short.square().sum().sqrt()
        return spectra

    def _tones(self, spectrum: Tensor, power: Tensor) -> list[Tensor]:
        """`[B, frames, frequencies]`: flatness, how bands move together, and the rotation of phase."""
        levels = _decibels(power @ self.groups, _FLOOR)  # [B, frames, groups]
        some = power[:, ::2]
        flatness = _decibels(some, _FLOOR) @ self.flat - _decibels(some @ self.flat, _FLOOR)
        centred = levels - levels.mean(dim=1, keepdim=True)
        moves = centred / (centred.square().mean(dim=1, keepdim=True).sqrt() + 1.0)
        correlation = moves.transpose(1, 2) @ moves / moves.shape[1]
        above = torch.triu_indices(self.GROUPS, self.GROUPS, 1)
        low = spectrum[..., : self.turns.shape[0]]
        turn = low[:, 1:] * low[:, :-1].conj()
        change = turn[:, 1:] * turn[:, :-1].conj()  # its phase is 0 for a steady tone
        size = (change.real.square() + change.imag.square() + 1e-20).sqrt()
        weight = size.sqrt()  # the power of a bin
        held = (change.real / weight) @ self.turns / (weight @ self.turns + 1e-6)
        return [
            _summary(flatness) / 10,
            correlation[:, above[0], above[1]] * 2,
            _summary(held) * 2,
        ]

    def _envelopes(self, middle: Tensor) -> list[Tensor]:
        power = _power(middle.unfold(-1, self.FINE_FRAME, self.FINE_HOP) * self.fine) @ self.envelopes
        levels = _decibels(torch.cat([power, power.sum(dim=2, keepdim=True)], dim=2), _FLOOR * 10).transpose(1, 2)
        levels = levels - levels.mean(dim=2, keepdim=True)
        window = torch.hann_window(levels.shape[2], device=levels.device)
        spectrum = _power(levels * window) / levels.shape[2]
        rates = [torch.log(spectrum[..., low:high].mean(dim=-1) + 0.1) / 2 for low, high in self._rates]
        rises = (levels[..., 2:] - levels[..., :-2]).clamp_min(0)  # an echo repeats attacks
        rises = rises - rises.mean(dim=2, keepdim=True)
        size = 2 * rises.shape[2]
        found = torch.fft.irfft(_power(rises, size))[..., : self._lags[-1][1]]
        found = found / (found[..., :1] + 1e-3)
        lags = [found[..., low:high].amax(dim=-1) * 5 for low, high in self._lags]
        return [torch.cat(rates, dim=1), torch.cat(lags, dim=1)]

    def _shape(self, middle: Tensor) -> list[Tensor]:
        peak = middle.abs().amax(dim=1, keepdim=True)
        skew = middle.pow(3).mean(dim=1, keepdim=True)
        kurtosis = torch.log(middle.pow(4).mean(dim=1, keepdim=True) + 1e-3)
        sides = torch.log((middle.amax(dim=1, keepdim=True) + 1e-3) / (1e-3 - middle.amin(dim=1, keepdim=True)))
        step = (middle[:, 1:] - middle[:, :-1]).abs()
        held = (step <= 1e-6 * peak).float().mean(dim=1, keepdim=True)
        clipped = (middle.abs() >= 0.995 * peak).float().mean(dim=1, keepdim=True)
        top = torch.log((step.amax(dim=1, keepdim=True) + 1e-3) / (step.square().mean(dim=1, keepdim=True).sqrt() + 1e-3))
        return [_signed(skew), kurtosis, sides, held * 4, torch.log(clipped + 1e-5) / 2, torch.log(held + 1e-5) / 2, top]

    def _channels(self, spectra: Tensor) -> Tensor:
        """Statistics of the two channels: `[B, 2, frames, frequencies]` -> `[B, stereo]`."""
        spectra = spectra[:, :, ::2]
        left, right = (spectra[:, i].real.square() + spectra[:, i].imag.square() for i in (0, 1))
        cross = (spectra[:, 0] * spectra[:, 1].conj()).real
        left, right, cross = left @ self.groups, right @ self.groups, cross @ self.groups
        middle, side = (left + right + 2 * cross) / 4, (left + right - 2 * cross).clamp_min(0) / 4
        width = _decibels(side / (middle + side + 1e-9), 1e-4)  # [B, frames, groups], from -40 to 0
        balance = _decibels((left + 1e-4) / (right + 1e-4), 0.0).clamp(-40, 40)
        alike = cross / ((left * right).sqrt() + 1e-6)
        window = torch.hann_window(balance.shape[1], device=balance.device)[:, None]
        moves = torch.fft.rfft((balance - balance.mean(dim=1, keepdim=True)) * window, dim=1)
        slow = moves.real.square() + moves.imag.square()
        rates = torch.cat([torch.log(slow[:, low:high].mean(dim=1) + 1.0) / 4 for low, high in self._slow], dim=1)
        return torch.cat([_summary(width) / 10, _summary(balance) / 10, _summary(alike), rates], dim=1)


class _Middle(Statistics):
    BANDS = 48

    def _log_spectrum(self, x: Tensor) -> Tensor:
        return torch.log(_power(x) + 1e-3)  # half the time of the padded one; what wraps around is short beside the window


def _summary(x: Tensor) -> Tensor:
    """Mean, spread and quantiles over frames: `[B, frames, N]` -> `[B, 5·N]`."""
    return torch.cat([x.mean(dim=1), x.std(dim=1), _quantiles(x.transpose(1, 2), (0.1, 0.5, 0.9))], dim=1)


def _signed(x: Tensor) -> Tensor:
    return x.sign() * x.abs().log1p()


def _edges(first: int, last: int, count: int) -> list[tuple[int, int]]:
    """About `count` intervals of whole numbers, equal on a logarithmic axis."""
    edges = sorted(set(np.geomspace(first, last, count + 1).round().astype(int).tolist()))
    return list(itertools.pairwise(edges))
