"""Modulation of levels: how far a level moves, and how fast."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

#: Limits of the bands of rates, Hz: an octave each. Below, an excerpt is too short; above, a window is too long.
RATES = (0.7, 1.4, 2.8, 5.6, 11.0, 22.0, 45.0)


def depths(levels: Tensor, step: float) -> Tensor:
    """Depth of the modulation in bands of rates: levels `[B, G, frames]` in dB, `step` seconds apart -> `[B, G, R]`, dB.

    The root mean square of the level's part at these rates. It depends on how much the level moves, and not on when.
    """
    frames = levels.shape[-1]
    window = torch.hann_window(frames, dtype=levels.dtype, device=levels.device)
    moved = (levels - levels.mean(dim=-1, keepdim=True)) * window
    spectrum = torch.fft.rfft(moved, n=2 * frames)
    power = (spectrum.real.square() + spectrum.imag.square()) * (2.0 / (2 * frames * window.square().sum()))
    depth: Tensor = (power @ _rates(frames, step).to(power)).sqrt()
    return depth


@functools.lru_cache(16)
def _rates(frames: int, step: float) -> Tensor:
    """`[frames + 1, R]`: which frequencies of the padded spectrum belong to which band; neighbours share those between them."""
    rate = torch.arange(frames + 1) / (2 * frames * step)
    edges = torch.tensor(RATES)
    place = torch.log2(rate.clamp_min(1e-6) / edges[0]) / torch.log2(edges[-1] / edges[0]) * (len(RATES) - 1) - 0.5
    return (1.0 - (place[:, None] - torch.arange(len(RATES) - 1)).abs()).clamp_min(0.0)
