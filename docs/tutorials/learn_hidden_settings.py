"""A small network listens to noise and learns to set a plug-in like one whose settings it is never told.

    python docs/tutorials/learn_hidden_settings.py --effect dawdreamer:http://drobilla.net/plugins/mda/Combo --figure out.svg

The page `learn-hidden-settings.md` explains it step by step.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from blackbox_grad import DifferentiableEffect, FiniteDifference

BURSTS, SAMPLES = 2, 4096  # how many, and how long: 93 ms
AUDIBLE = 1e-3  # -60 dB: training ends when the sound is right to this, relative to it
ACCURACY = 0.03  # a setting that may be further off, when the sound is right, cannot be told from it

#: Where hidden settings are drawn from, normalised; the network begins in the middle.
USUAL_RANGE = (0.2, 0.8)
#: Parameters that are two in one: a gradient leads to the hidden setting only on its own side of the switch.
RANGES = {
    "dawdreamer:http://drobilla.net/plugins/mda/Combo": {"Drive": (0.05, 0.45)},  # above 0.5 another circuit
    "dawdreamer:http://drobilla.net/plugins/mda/RezFilter": {
        "Env->VCF": (0.55, 0.95),  # below 0.5 the envelope closes the filter
        "LFO->VCF": (0.55, 0.95),  # below 0.5 a staircase in place of a sine
        "Trigger": (0.0, 0.1),  # above, the envelope waits for a trigger
        "Max Freq": (0.7, 0.95),  # below, the limit may be all that is heard
    },
}


def noise_bursts() -> Tensor:
    """`[BURSTS, 1, SAMPLES]`: pink noise (all octaves alike), from loud to quiet, each burst with a decay of its own."""
    spectrum = torch.fft.rfft(torch.randn(BURSTS, 1, SAMPLES))
    noise = torch.fft.irfft(spectrum / torch.arange(1, SAMPLES // 2 + 2).sqrt())
    level, decay = torch.logspace(-0.5, -1.5, BURSTS).view(-1, 1, 1), 8 * torch.rand(BURSTS, 1, 1)
    return level * torch.exp(-decay * torch.linspace(0, 1, SAMPLES)) * noise / noise.std()


class Controller(nn.Module):
    """Audio `[B, 1, T]` -> settings `[B, P]` in (0, 1). Before training it answers about `start: [P]`."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.ear = nn.Sequential(nn.Conv1d(1, 16, 64, 16), nn.LeakyReLU(), nn.Conv1d(16, 16, 16, 8), nn.LeakyReLU())
        self.head = nn.Sequential(nn.Linear(16, 32), nn.LeakyReLU(), nn.Linear(32, len(start)))
        self.start = torch.logit(start)

    def forward(self, audio: Tensor) -> Tensor:
        return torch.sigmoid(self.start + self.head(self.ear(audio).mean(dim=2)))


def relative(change: Tensor, target: Tensor) -> Tensor:
    """A change of the target, each burst relative to its norm; the sum of squares is the mean over the bursts: 1e-6 is -60 dB."""
    return (change / target.square().sum(dim=(1, 2), keepdim=True).sqrt()).flatten() / len(target) ** 0.5


@dataclass(frozen=True)
class Run:
    """What a training left.

    Attributes:
        predictions: `[steps + 1, P]`, the mean over the bursts.
        losses: `[steps + 1]`.
        settings: `[BURSTS, P]`, predicted for noise that the network never heard.
        jacobian: `[B·C·T, P]`, how the target changes with each parameter, `relative`, around the hidden settings.
    """

    effect: str
    seed: int
    names: tuple[str, ...]
    hidden: Tensor
    predictions: Tensor
    losses: list[float]
    settings: Tensor
    jacobian: Tensor
    seconds: float

    @property
    def errors(self) -> Tensor:
        """`[P]`, of the burst for which the parameter is predicted worst."""
        return (self.settings - self.hidden).abs().amax(dim=0)

    def leeway(self, level: float) -> Tensor:
        """`[P]`, from 0 to 1: how far each parameter may be off, the others helping, while the sound is right to `level`.

        The largest `|d_i|` of all small changes `d` of the settings with `|J d|² + level² |d|² <= level²`; the second term keeps
        those that are not heard inside the range.
        """
        return level * self._compliance(level).diagonal().sqrt()

    def verdict(self, parameter: int) -> str:
        """Whether a sound that is right to `AUDIBLE` tells the parameter to `ACCURACY`."""
        if self.jacobian[:, parameter].norm() * ACCURACY < AUDIBLE:
            return "cannot be heard"
        if self.leeway(AUDIBLE)[parameter] <= ACCURACY:
            return "heard"
        helpers = self._compliance(AUDIBLE)[parameter].abs()
        helpers[parameter] = 0
        return f"only together with {self.names[int(helpers.argmax())]}"

    @property
    def told(self) -> list[int]:
        """The parameters that can be told from the sound."""
        return [i for i in range(len(self.names)) if self.verdict(i) == "heard"]

    def _compliance(self, level: float) -> Tensor:
        jacobian = self.jacobian.double()
        return torch.linalg.inv(jacobian.T @ jacobian + level**2 * torch.eye(len(self.names)))


def jacobian(layer: DifferentiableEffect, audio: Tensor, target: Tensor, point: Tensor, step: float = 0.002) -> Tensor:
    """`[B·C·T, P]`: how the target changes with each parameter, `relative`, by central differences around `point: [P]`."""
    columns = []
    for axis in torch.eye(len(point)):
        up, down = (point + step * axis).clamp(0, 1), (point - step * axis).clamp(0, 1)
        columns.append(relative(layer(audio, up[None]) - layer(audio, down[None]), target) / (up - down).sum())
    return torch.stack(columns, dim=1)


def learn(effect: str, steps: int = 100, seed: int = 0) -> Run:
    """Train a network until the effect, set by it, sounds as it does at hidden settings drawn by `seed`."""
    began = time.perf_counter()
    torch.manual_seed(seed)
    layer = DifferentiableEffect(effect, estimator=FiniteDifference("forward", step=0.002))
    names = layer.parameter_space.names
    low, high = torch.tensor([RANGES.get(effect, {}).get(name, USUAL_RANGE) for name in names]).T
    hidden = low + (high - low) * torch.rand(len(names))

    audio = noise_bursts()
    target = layer(audio, hidden[None])
    network = Controller(start=(low + high) / 2)
    optimiser = torch.optim.LBFGS(
        network.parameters(),
        max_iter=1,
        max_eval=20,
        history_size=50,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = relative(layer(audio, network(audio)) - target, target).square().sum()
        loss.backward()
        return loss

    predictions, losses = [], []
    while True:
        with torch.no_grad():
            settings = network(audio)
            predictions.append(settings.mean(dim=0))
            losses.append(relative(layer(audio, settings) - target, target).square().sum().item())
        if losses[-1] < AUDIBLE**2 or len(losses) > steps:
            break
        optimiser.step(closure)

    with torch.no_grad():
        settings = network(noise_bursts())
        slopes = jacobian(layer, audio, target, hidden)
    return Run(effect, seed, names, hidden, torch.stack(predictions), losses, settings, slopes, time.perf_counter() - began)


def print_table(run: Run) -> None:
    table = Table("parameter", "hidden", "predicted", "error", "could be off by", "", title=f"{run.effect}, seed {run.seed}")
    columns = torch.stack([run.hidden, run.settings.mean(dim=0), run.errors, run.leeway(run.losses[-1] ** 0.5)], dim=1)
    for i, name in enumerate(run.names):
        table.add_row(name, *(f"{number:.4f}" for number in columns[i]), run.verdict(i))
    Console(width=120).print(table)
    decibels = 10 * math.log10(run.losses[-1])
    print(f"{len(run.losses) - 1} steps, {run.seconds:.0f} s, relative error of the sound {decibels:.0f} dB")


def draw(runs: list[Run], file: Path) -> None:
    """Predictions over the steps, a panel a run; hidden settings dashed; what cannot be told from the sound in grey."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = runs[0].names
    few, many = pyplot.colormaps["tab10"].colors, pyplot.colormaps["turbo"]
    figure, panels = pyplot.subplots(
        1, len(runs), figsize=(3.2 * len(runs) + 1.6, 3.6), sharey=True, squeeze=False, layout="constrained"
    )
    for i, name in enumerate(names):
        colour = few[i] if len(names) <= len(few) else many(i / len(names))
        for panel, run in zip(panels[0], runs, strict=True):
            shade = colour if i in run.told else "0.75"
            panel.plot(run.predictions[:, i], color=shade, linewidth=1.2)
            panel.axhline(float(run.hidden[i]), color=shade, linestyle="--", linewidth=0.8)
        panels[0, 0].plot([], color=colour if any(i in run.told for run in runs) else "0.75", label=name)
    for panel, run in zip(panels[0], runs, strict=True):
        panel.set(xlabel="step", ylim=(0, 1), title=f"seed {run.seed}")
    panels[0, 0].set(ylabel="setting (0 to 1)")
    figure.legend(loc="outside right upper", fontsize="x-small", frameon=False, ncols=1 + len(names) // 20)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--effect", default="pedalboard-builtin:LadderFilter")
    parser.add_argument("--steps", type=int, default=100, help="at most so many")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the hidden settings, the noise and the network")
    parser.add_argument("--figure", type=Path, help="where to draw the predictions, .svg or .png")
    arguments = parser.parse_args()
    runs = []
    for seed in arguments.seeds:
        runs.append(learn(arguments.effect, arguments.steps, seed))
        print_table(runs[-1])
    if arguments.figure is not None:
        draw(runs, arguments.figure)


if __name__ == "__main__":
    main()
