"""A network hears a tone and sets a synthesiser so that it sounds like it. It is trained through the plug-in.

    python docs/tutorials/set_a_synth.py --seeds 0 1 2

The page `learn-hidden-settings.md` explains it. It needs MDA's DX10 (Debian's package `mda-lv2`).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from blackbox_grad import DifferentiableEffect, FiniteDifference, Notes
from blackbox_grad.losses import mel_filters, power_spectrogram

SYNTH = "dawdreamer:http://drobilla.net/plugins/mda/DX10"
PARAMETERS = ["Mod Init", "Mod Dec", "Mod Sus", "Attack", "Decay"]  # how bright the tone begins, goes on and ends, and how loud
RATE = 22050.0
NOTES = Notes([("C4", 100, 0.0, 0.35)], seconds=0.5)

STEPS, BATCH = 400, 16  # tones in a step
UNSEEN = 64  # tones that the network is judged by
LOW, HIGH = 0.1, 0.9  # where settings are drawn from


def hear(audio: Tensor) -> Tensor:
    """`[B, C, T]` -> `[B, frames · bands]`: levels of mel bands over time, in units of 10 dB, from the floor up."""
    power = power_spectrogram(audio.mean(dim=1, keepdim=True), torch.hann_window(1024))
    return torch.log10(power @ mel_filters(48, 1024, RATE, averaging=True) + 1e-4).flatten(1) + 4.0


def apart(audio: Tensor, heard: Tensor) -> Tensor:
    """`[B]`: how far tones are from others that were heard."""
    return (hear(audio) - heard).abs().mean(dim=1)


class Ear(nn.Module):
    """What is heard `[B, N]` -> settings `[B, P]` in (0, 1). Before training it answers about the middle."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, 64), nn.LeakyReLU(), nn.Linear(64, 64), nn.LeakyReLU())
        self.head = nn.Linear(64, len(PARAMETERS))

    def forward(self, heard: Tensor) -> Tensor:
        return torch.sigmoid(self.head(self.layers(heard / 4.0)))


@dataclass(frozen=True)
class Result:
    """Of tones that the network never heard.

    Attributes:
        untrained, trained: how far the synthesiser is from them, before and after the training, median.
        middle: how far it is in the middle of all ranges, median.
        errors: `[P]`: of the settings, median.
    """

    seed: int
    steps: int
    untrained: float
    trained: float
    middle: float
    errors: Tensor
    seconds: float


def drawn(count: int, generator: torch.Generator) -> Tensor:
    return LOW + (HIGH - LOW) * torch.rand(count, len(PARAMETERS), generator=generator)


def learn(steps: int = STEPS, seed: int = 0) -> Result:
    """Train a network on tones at drawn settings, which it is never told."""
    began = time.perf_counter()
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    synth = DifferentiableEffect(
        SYNTH, sample_rate=RATE, parameters=PARAMETERS, estimator=FiniteDifference("forward", step=0.03)
    )

    def tones(settings: Tensor) -> Tensor:
        with torch.no_grad():
            return synth([NOTES] * len(settings), settings)

    unseen = drawn(UNSEEN, generator)
    heard = hear(tones(unseen))
    ear = Ear(heard.shape[1])
    optimiser = torch.optim.Adam(ear.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, max(1, steps))

    def judged(settings: Tensor) -> float:
        return float(apart(tones(settings), heard).median())

    with torch.no_grad():
        untrained, middle = judged(ear(heard)), judged(torch.full_like(unseen, 0.5))
    for _ in range(steps):
        target = hear(tones(drawn(BATCH, generator)))
        loss = synth.loss([NOTES] * BATCH, ear(target), apart, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        settings = ear(heard)
    errors = (settings - unseen).abs().median(dim=0).values
    return Result(seed, steps, untrained, judged(settings), middle, errors, time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of {BATCH} tones each")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the tones and the network")
    arguments = parser.parse_args()
    table = Table("seed", "in the middle", "untrained", "trained", *PARAMETERS, title="64 tones that the network never heard")
    for seed in arguments.seeds:
        found = learn(arguments.steps, seed)
        distances = (found.middle, found.untrained, found.trained)
        table.add_row(str(seed), *(f"{d:.3f}" for d in distances), *(f"{e:.3f}" for e in found.errors))
        print(f"seed {seed}: {found.steps} steps, {found.seconds:.0f} s")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
