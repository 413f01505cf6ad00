"""Amortised: a small network gets a recording, dry and wet, and predicts the settings; it is trained through the plug-in.

It is trained on excerpts of the bundled guitar, and validated on other settings and other recordings. The validation loss is
compared after equal numbers of renders: an estimator that needs more renders for a gradient makes fewer steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from auraloss.freq import MultiResolutionSTFTLoss
from torch import Tensor, nn

from blackbox_grad.audio_files import example, resample
from blackbox_grad_adapters.estimator_bench.methods import Kind
from blackbox_grad_adapters.estimator_bench.recordings import LENGTH, SAMPLE_RATE, excerpt
from blackbox_grad_adapters.estimator_bench.results import Row
from blackbox_grad_adapters.estimator_bench.tasks import RANGE, host, layer_for

EFFECT = "multiband"
BATCH = 8
TRAINING, VALIDATION = 256, 48

#: Renders in training, with forward renders, after which the validation loss is recorded.
COUNTS = (1200, 2400, 4800)

#: Learning rates of Adam for the network's weights: the same for all estimators.
RATES = (3e-4, 1e-3, 3e-3)

_OTHERS = ("riff", "band", "speech")
_BANDS = 48
_measure = MultiResolutionSTFTLoss(
    fft_sizes=[512, 2048, 8192], hop_sizes=[256, 1024, 4096], win_lengths=[512, 2048, 8192], w_sc=0.0, w_lin_mag=1.0
)


@dataclass(frozen=True)
class Examples:
    """`dry, wet: [N, 1, T]`, the same recordings before and after the effect."""

    dry: Tensor
    wet: Tensor


def measure(name: str, kind: Kind, rate: float, seed: int) -> list[Row]:
    """Train, and return the validation loss, relative to the loss of settings in the middle of their ranges, as a result row."""
    training, validation = examples()
    layer = layer_for(EFFECT, name)
    torch.manual_seed(seed)
    network = Predictor(len(layer.parameter_space))
    adam = torch.optim.Adam(network.parameters(), lr=rate)
    with torch.no_grad():
        middle = _validation_loss(torch.full((VALIDATION, len(layer.parameter_space)), 0.5), validation)
    found: dict[str, float] = {}
    used = 0
    for count in COUNTS:
        while used < count:
            before = host().renders
            chosen = torch.randint(TRAINING, (BATCH,))
            dry, wet = training.dry[chosen], training.wet[chosen]
            point = network(dry, wet)
            loss = layer.loss(dry, point, _measure, wet) if kind == "loss" else _measure(layer(dry, point), wet)
            adam.zero_grad()
            loss.backward()
            adam.step()
            used += host().renders - before
        with torch.no_grad():
            found[f"loss_{count}"] = _validation_loss(network(validation.dry, validation.wet), validation) / middle
    return [{"method": name, "kind": kind, "rate": rate, "seed": seed} | found]


def _validation_loss(points: Tensor, validation: Examples) -> float:
    return float(_measure(layer_for(EFFECT)(validation.dry, points), validation.wet))


class Predictor(nn.Module):
    """Spectral envelopes of dry and wet, and their changes over time, into a small perceptron."""

    def __init__(self, parameters: int) -> None:
        super().__init__()
        edges = torch.logspace(1.9, 4.05, _BANDS + 1)  # Hz
        frequencies = torch.linspace(0.0, SAMPLE_RATE / 2, 1025)
        bands = torch.stack([(frequencies >= a) & (frequencies < b) for a, b in pairwise(edges)])
        self.bands = bands.float() / bands.sum(1, keepdim=True).clamp(min=1)
        sizes = (4 * _BANDS, 128, 64)
        hidden = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
        self.layers = nn.Sequential(nn.LayerNorm(sizes[0]), *hidden, nn.Linear(sizes[-1], parameters))

    def forward(self, dry: Tensor, wet: Tensor) -> Tensor:
        """`[B, 1, T]` twice -> `[B, P]` in (0, 1)."""
        features = torch.cat([self._envelope(dry), self._envelope(wet) - self._envelope(dry)], dim=1)
        predicted: Tensor = torch.sigmoid(self.layers(features))
        return predicted

    def _envelope(self, audio: Tensor) -> Tensor:
        window = torch.hann_window(2048)
        power = torch.stft(audio[:, 0], 2048, 1024, window=window, return_complex=True).abs().square()
        levels = torch.log(self.bands @ power + 1e-6)
        return torch.cat([levels.mean(2), levels.std(2)], dim=1)


@cache
def examples() -> tuple[Examples, Examples]:
    """Pairs for training and for validation."""
    generator = torch.Generator().manual_seed(0)
    audio, rate = example()
    guitar = torch.from_numpy(resample(audio.mean(axis=0, keepdims=True), rate, SAMPLE_RATE))
    starts = torch.randint(guitar.shape[1] - LENGTH, (TRAINING,), generator=generator)
    dry = torch.stack([guitar[:, s : s + LENGTH] for s in starts])
    dry = 0.5 * dry / dry.abs().amax((1, 2), keepdim=True).clamp(min=1e-3)
    other = torch.from_numpy(np.stack([excerpt(name) for name in _OTHERS])).repeat(VALIDATION // len(_OTHERS), 1, 1)
    return _through_effect(dry, generator), _through_effect(other, generator)


def _through_effect(dry: Tensor, generator: torch.Generator) -> Examples:
    layer = layer_for(EFFECT)
    low, high = RANGE
    points = low + (high - low) * torch.rand(len(dry), len(layer.parameter_space), generator=generator)
    with torch.no_grad():
        return Examples(dry, layer(dry, points))
