"""The judge *time*: echoes, reverberation, combs, tremolo and rotation, wherever in time they fall."""

from __future__ import annotations

import functools
import itertools
import math

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.measures.bands import band_powers, decibels
from blackbox_grad_adapters.style_matching.measures.modulation import depths

#: Bands of the levels, groups of bands, and the length of a window in seconds. Windows overlap by half.
_BANDS, _GROUPS, _WINDOW = 32, 4, 0.021

#: Level below which nothing is heard, dB of full scale.
_FLOOR = -80.0

#: Seconds after a loud moment at which the decay is read.
_AFTER = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64)

#: A moment is loud if its level is among this part of the highest.
_LOUD = 0.2

#: Delays of echoes and combs, seconds: from the first to the last, in bins of so many an octave.
_FIRST, _LAST, _AN_OCTAVE = 0.0006, 1.0, 6

#: Delays that are this many octaves apart (standard deviation) are about equal: an echo of 300 ms and one of 330 ms.
_NEAR = 0.5

#: Factor of the cepstrum, which brings the traces of audible echoes to the size of the other parts, in dB.
_HEIGHT = 100.0


def echo_and_decay(x: Tensor, sample_rate: float) -> tuple[Tensor, ...]:
    """Decay, echoes and modulation, blind to when they happen: audio `[B, C, T]` at a rate in Hz -> three times `[B, F]`.

    - *Decay*, dB: the mean fall of the level in four bands, 20 to 640 ms after loud moments. It is an energy-decay curve (M. R.
      Schroeder, J. Acoust. Soc. Am. 37(3), 1965, doi:10.1121/1.1909343) of sounds that do not stop.
    - *Echoes*: the highest peaks of the power cepstrum (B. P. Bogert, M. J. R. Healy, J. W. Tukey, 1963) at delays from 0.6 ms to
      1 s, a sixth of an octave each, and smoothed: an echo at a slightly other delay is nearly the same.
    - *Modulation*, dB: the depth of the modulation of these levels at different rates (`depths`).
    """
    levels = _levels(x, sample_rate)
    return _decay(levels), _echoes(x.mean(dim=1), sample_rate), depths(levels, _WINDOW / 2).flatten(1)


def _levels(x: Tensor, sample_rate: float) -> Tensor:
    """`[B, groups, frames]`, dB."""
    powers = band_powers(x, sample_rate, _BANDS, _WINDOW).unflatten(2, (_GROUPS, -1)).mean(dim=3)
    return decibels(powers, _FLOOR).transpose(1, 2)


def _decay(levels: Tensor) -> Tensor:
    """`[B, groups · lags]`, dB, from `[B, groups, frames]`."""
    frames = levels.shape[-1]
    parts = []
    for after in _AFTER:
        lag = min(max(1, round(2 * after / _WINDOW)), frames - 1)
        before, later = levels[..., : frames - lag], levels[..., lag:]
        count = max(1, round(_LOUD * before.shape[-1]))
        loud = before.topk(count, dim=-1)
        parts.append((later.gather(-1, loud.indices) - loud.values).mean(dim=-1))
    return torch.cat(parts, dim=1)


def _echoes(x: Tensor, sample_rate: float) -> Tensor:
    """`[B, bins]` from `[B, T]`."""
    # room for the last delay too, so that a short sound has as many bins as a long one
    size = 2 ** math.ceil(math.log2(max(x.shape[-1], 2 * (_LAST * sample_rate + 1))))
    spectrum = torch.fft.rfft(x / x.square().mean(dim=-1, keepdim=True).sqrt().clamp_min(1e-6), size)
    power = (spectrum.real.square() + spectrum.imag.square()) / x.shape[-1]
    cepstrum = torch.fft.irfft(torch.log(power + 1e-4)).abs()
    edges, smoothing = _delays(sample_rate)
    highest = torch.stack([cepstrum[:, low:high].amax(dim=-1) for low, high in itertools.pairwise(edges)], dim=1)
    return _HEIGHT * highest @ smoothing.to(highest)


@functools.lru_cache(8)
def _delays(sample_rate: float) -> tuple[tuple[int, ...], Tensor]:
    """Edges of the bins, in samples, and the smoothing over bins `[bins, bins]`."""
    first = _FIRST * sample_rate
    count = round(_AN_OCTAVE * math.log2(_LAST / _FIRST))
    edges = sorted({round(first * 2 ** (i / _AN_OCTAVE)) for i in range(count + 1)})
    place = torch.tensor([math.log2(low) for low in edges[:-1]])
    smoothing = torch.exp(-0.5 * ((place[:, None] - place) / _NEAR).square())
    return tuple(edges), smoothing / smoothing.sum(dim=0)
