"""The judge *dynamics*: how even, punchy or squashed a sound is."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.measures.bands import band_powers, decibels
from blackbox_grad_adapters.style_matching.measures.modulation import depths

#: Bands whose powers are weighted and added, and the length of a window in seconds. Windows overlap by half.
_BANDS, _WINDOW = 40, 0.021

#: Level below which nothing is heard, dB of full scale.
_FLOOR = -80.0

#: Parts of the time for which the level is lower than a quantile.
_SHARES = tuple(i / 20 for i in range(1, 20))


def dynamics(x: Tensor, sample_rate: float) -> tuple[Tensor, ...]:
    """Distribution and modulation of the loudness: audio `[B, C, T]` at a rate in Hz -> `[B, 19]` and `[B, R]`, dB.

    First the quantiles of the level over time: their mean absolute difference is the earth mover's distance between two
    distributions of levels. Then the depth of the level's modulation at different rates (`depths`). The level is that of the power
    in windows of 21 ms, its spectrum weighted as in ITU-R BS.1770.
    """
    level = decibels(band_powers(x, sample_rate, _BANDS, _WINDOW) @ _weights(_BANDS, sample_rate).to(x), _FLOOR)
    ordered = level.sort(dim=-1).values
    quantiles = ordered[..., [round(share * (level.shape[-1] - 1)) for share in _SHARES]]
    return quantiles, depths(level[:, None], _WINDOW / 2).flatten(1)


@functools.lru_cache(8)
def _weights(bands: int, sample_rate: float) -> Tensor:
    """`[bands]`: the power gain of BS.1770's two filters at the bands' centres, times the bands' widths.

    A shelf of +4 dB above 1.7 kHz and a high-pass at 38 Hz, here by their analogue prototypes.
    """
    top = 2595.0 * torch.log10(torch.tensor(1.0 + sample_rate / 2 / 700.0))
    edges = 700.0 * (10.0 ** (torch.linspace(0.0, float(top), bands + 2) / 2595.0) - 1.0)
    centre, width = edges[1:-1], (edges[2:] - edges[:-2]) / 2
    high_pass = 1.0 / (1.0 + (38.0 / centre) ** 4)
    ratio = (centre / 1682.0) ** 2
    shelf = (1.0 + 10.0**0.4 * ratio**2) / (1.0 + ratio**2)
    gain: Tensor = high_pass * shelf * width / width.mean()
    return gain
