"""A small network listens to noise and learns to set a plug-in like one whose settings it is never told.

    python docs/tutorials/learn_hidden_settings.py --effect dawdreamer:http://drobilla.net/plugins/mda/Combo --figure out.svg

The page `learn-hidden-settings.md` explains it step by step.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from blackbox_grad import DifferentiableEffect, FiniteDifference

BURSTS, SAMPLES = 6, 4096  # how many, and how long: 93 ms
SWEEP = 0.03  # the accuracy asked for: a parameter is moved by so much to hear what it does
FLOOR = 1e-4  # -80 dB: a change of the output that is smaller, relative to it, is one that cannot be heard


@dataclass(frozen=True)
class Example:
    """Normalised settings by name: the hidden ones (others are drawn by the seed), and where to start if not in the middle."""

    hidden: dict[str, float] = field(default_factory=dict)
    start: dict[str, float] = field(default_factory=dict)


EXAMPLES = {
    "dawdreamer:http://drobilla.net/plugins/mda/Combo": Example(
        {"Drive": 0.3, "Bias": 0.35, "Output": 0.4, "HPF Freq": 0.45, "HPF Reso": 0.6},
        start={"Drive": 0.4},  # above 0.5 it is another circuit: no gradient leads across a switch
    ),
    "dawdreamer:http://drobilla.net/plugins/mda/RezFilter": Example(
        {"Output": 0.6, "Env->VCF": 0.7, "LFO->VCF": 0.8, "LFO Rate": 0.5, "Trigger": 0.05}
        | {"Max Freq": 0.9, "Attack": 0.2, "Release": 0.4, "Freq": 0.45, "Res": 0.5},
        start={"Env->VCF": 0.85, "LFO->VCF": 0.7, "Trigger": 0.08, "Max Freq": 0.75, "Attack": 0.1, "Freq": 0.33, "Res": 0.7},
    ),
    "pedalboard:ZamEQ2.vst3": Example(
        {"Boost/Cut 1": 0.5, "Bandwidth 1": 0.6, "Frequency 1": 0.3, "Boost/Cut 2": 0.3, "Bandwidth 2": 0.4, "Frequency 2": 0.6}
        | {"Boost/Cut L": 0.4, "Frequency L": 0.4, "Boost/Cut H": 0.45, "Frequency H": 0.6, "Master Gain": 0.6},
        # two equal bands that change places sound the same: begin with them in order
        start={"Frequency 1": 0.35},
    ),
}


def noise_bursts(generator: torch.Generator) -> Tensor:
    """`[BURSTS, 1, SAMPLES]`: white noise, each burst with a level and a decay of its own, so that dynamics can be heard too."""
    level = 0.3 * 10 ** -torch.rand(BURSTS, 1, 1, generator=generator)
    decay = 8 * torch.rand(BURSTS, 1, 1, generator=generator)
    return level * torch.exp(-decay * torch.linspace(0, 1, SAMPLES)) * torch.randn(BURSTS, 1, SAMPLES, generator=generator)


class Controller(nn.Module):
    """Audio `[B, 1, T]` -> settings `[B, P]` in (0, 1). Before training it answers about `start: [P]`."""

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.ear = nn.Sequential(nn.Conv1d(1, 16, 64, 16), nn.LeakyReLU(), nn.Conv1d(16, 16, 16, 8), nn.LeakyReLU())
        self.head = nn.Sequential(nn.Linear(16, 32), nn.LeakyReLU(), nn.Linear(32, len(start)))
        self.start = torch.logit(start.clamp(0.01, 0.99))

    def forward(self, audio: Tensor) -> Tensor:
        return torch.sigmoid(self.start + self.head(self.ear(audio).mean(dim=2)))


def jacobian(layer: DifferentiableEffect, audio: Tensor, point: Tensor, step: float = 0.002) -> Tensor:
    """`[B·C·T, P]`: how the output changes with each parameter, by central differences around `point: [P]`."""
    columns = []
    for axis in torch.eye(len(point)):
        up, down = (point + step * axis).clamp(0, 1), (point - step * axis).clamp(0, 1)
        columns.append((layer(audio, up[None]) - layer(audio, down[None])).flatten() / (up - down).sum())
    return torch.stack(columns, dim=1)


@dataclass(frozen=True)
class Audibility:
    """What can be told about the settings from the sound.

    Attributes:
        change: `[P]`, the largest relative change of the output when a parameter is moved by `SWEEP`, alone.
        partners: for each parameter, the others that can make up for it, so that only their combination can be heard.
    """

    change: Tensor
    partners: list[list[int]]

    def heard(self, parameter: int) -> bool:
        return float(self.change[parameter]) > FLOOR

    def identifiable(self, parameter: int) -> bool:
        return self.heard(parameter) and not self.partners[parameter]


@torch.no_grad()
def audibility(layer: DifferentiableEffect, audio: Tensor, hidden: Tensor) -> Audibility:
    """Measured with a few renders around the hidden settings."""
    y = layer(audio, hidden[None])
    moved = [(hidden + side * axis).clamp(0, 1) for side in (-SWEEP, SWEEP) for axis in torch.eye(len(hidden))]
    distances = torch.stack([(layer(audio, point[None]) - y).norm() / y.norm() for point in moved])
    change = distances.view(2, -1).amax(dim=0)

    _, sizes, directions = torch.linalg.svd(jacobian(layer, audio, hidden) / y.norm(), full_matrices=False)
    silent = directions[sizes * SWEEP < FLOOR]  # ways to move all parameters at once that leave the output as it is
    shares = silent.T @ silent
    heard = [i for i in range(len(hidden)) if change[i] > FLOOR]
    partners = [[j for j in heard if i in heard and i != j and abs(shares[i, j]) > 0.1] for i in range(len(hidden))]
    return Audibility(change, partners)


@dataclass(frozen=True)
class Run:
    """What a training left: `predictions [steps, P]`, `losses [steps]`, and `settings [P]` predicted for noise it never heard."""

    effect: str
    names: tuple[str, ...]
    hidden: Tensor
    predictions: Tensor
    losses: list[float]
    settings: Tensor
    audibility: Audibility
    seconds: float

    @property
    def errors(self) -> Tensor:
        return (self.settings - self.hidden).abs()

    def verdict(self, parameter: int) -> str:
        if not self.audibility.heard(parameter):
            return "cannot be heard"
        others = ", ".join(self.names[i] for i in self.audibility.partners[parameter])
        return f"only together with {others}" if others else "heard"


def learn(effect: str, steps: int = 150, seed: int = 0) -> Run:
    """Train a network until the effect, set by it, sounds as it does at the hidden settings."""
    began = time.perf_counter()
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    layer = DifferentiableEffect(effect, estimator=FiniteDifference(step=0.002))
    names = layer.parameter_space.names
    example = EXAMPLES.get(effect, Example())
    drawn = 0.2 + 0.6 * torch.rand(len(names), generator=generator)
    hidden = torch.tensor([example.hidden.get(name, float(value)) for name, value in zip(names, drawn, strict=True)])

    audio = noise_bursts(generator)
    target = layer(audio, hidden[None])
    network = Controller(torch.tensor([example.start.get(name, 0.5) for name in names]))
    optimiser = torch.optim.LBFGS(
        network.parameters(),
        max_iter=1,
        max_eval=20,
        history_size=50,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = (layer(audio, network(audio)) - target).square().mean() / target.square().mean()
        loss.backward()
        return loss

    predictions, losses = [network(audio).detach().mean(dim=0)], [closure().item()]
    for _ in range(steps):
        optimiser.step(closure)
        with torch.no_grad():
            settings = network(audio)
            predictions.append(settings.mean(dim=0))
            losses.append(((layer(audio, settings) - target).square().mean() / target.square().mean()).item())
        if losses[-1] < 1e-11 or losses[-1] > 0.98 * losses[max(0, len(losses) - 41)]:
            break
        if losses[-1] >= losses[-2]:  # what was learnt of the curvature misleads: begin anew
            optimiser.state.clear()

    unheard = noise_bursts(generator)
    settings = network(unheard).detach().mean(dim=0)
    measured = audibility(layer, unheard, hidden)
    return Run(effect, names, hidden, torch.stack(predictions), losses, settings, measured, time.perf_counter() - began)


def print_table(run: Run) -> None:
    table = Table("parameter", "hidden", "predicted", "error", f"heard, moved by {SWEEP}", "", title=run.effect)
    for i, name in enumerate(run.names):
        decibels = 20 * run.audibility.change[i].clamp(min=1e-8).log10()
        numbers = [f"{values[i]:.3f}" for values in (run.hidden, run.settings, run.errors)]
        table.add_row(name, *numbers, f"{decibels:.0f} dB", run.verdict(i))
    Console(width=120).print(table)
    print(f"{len(run.losses) - 1} steps, {run.seconds:.0f} s, relative error of the sound {run.losses[-1]:.1e}")


def draw(run: Run, file: Path) -> None:
    """Predictions over the steps; hidden values dashed; what cannot be told from the sound in grey."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    colours = iter(pyplot.colormaps["tab10"].colors + pyplot.colormaps["Dark2"].colors)
    for i, name in enumerate(run.names):
        told = run.audibility.identifiable(i)
        colour, label = (next(colours), name) if told else ("0.75", f"{name}: {run.verdict(i)}")
        axes.plot(run.predictions[:, i], color=colour, label=label)
        axes.axhline(float(run.hidden[i]), color=colour, linestyle="--", linewidth=0.8)
    axes.set(xlabel="step", ylabel="setting (0 to 1)", ylim=(0, 1), title=run.effect.rsplit("/", 1)[-1])
    figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--effect", default="pedalboard-builtin:Distortion | pedalboard-builtin:LadderFilter")
    parser.add_argument("--steps", type=int, default=300, help="at most so many")
    parser.add_argument("--seed", type=int, default=0, help="of the noise, the network, and hidden settings that are not given")
    parser.add_argument("--figure", type=Path, help="where to draw the predictions, .svg or .png")
    arguments = parser.parse_args()
    run = learn(arguments.effect, arguments.steps, arguments.seed)
    print_table(run)
    if arguments.figure is not None:
        draw(run, arguments.figure)


if __name__ == "__main__":
    main()
