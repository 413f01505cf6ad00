"""`make curves`: the gradient of all knots from few renders, hidden curves found, and the cost of a curve.

It writes `docs/measured/curves.md`. Everything is measured on 4 s of the bundled guitar. Costs are ratios of renders that take
turns in one run.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from rich.console import Console

from blackbox_grad import (
    Automated,
    Coordinates,
    EffectSpec,
    FiniteDifference,
    Host,
    Problem,
    ProcessPool,
    Renderer,
    Segments,
    load,
    match,
)
from blackbox_grad.audio_files import example
from blackbox_grad.effects import Audio
from blackbox_grad.files import replacing
from blackbox_grad.losses import loss_for
from blackbox_grad.parameters import FloatArray

MDA = "dawdreamer:http://drobilla.net/plugins/mda/"
SECONDS = 4.0
#: Knots of the gradients, and of the searches.
KNOTS, FOUND_KNOTS = 32, 16


@dataclass(frozen=True)
class Task:
    """An effect, what moves, and what is held."""

    name: str
    address: str
    moving: tuple[str, ...]
    fixed: tuple[tuple[str, float | str], ...] = ()


GRADIENTS = (
    Task("filter: MDA RezFilter", f"{MDA}RezFilter", ("Freq", "Res", "Output", "Env->VCF")),
    Task("filter: LadderFilter", "pedalboard-builtin:LadderFilter", ("cutoff_hz", "resonance", "drive")),
    Task("equaliser: ZamEQ2", "dawdreamer:ZamEQ2.vst3", ("Boost/Cut 1", "Frequency 1", "Boost/Cut 2", "Frequency 2")),
    Task("compressor: Compressor", "pedalboard-builtin:Compressor", ("threshold_db", "ratio", "attack_ms", "release_ms")),
    Task("compressor: ZamCompX2", "dawdreamer:ZamCompX2.vst3", ("Threshold", "Ratio", "Makeup", "Attack")),
    Task("distortion: MDA Overdrive", f"{MDA}Overdrive", ("Drive", "Muffle", "Output")),
    Task("distortion: MDA Combo", f"{MDA}Combo", ("Drive", "Bias", "Output", "HPF Freq")),
    Task("gain: Gain", "pedalboard-builtin:Gain", ("gain_db",)),
    Task("reverb: Reverb", "pedalboard-builtin:Reverb", ("room_size", "damping", "wet_level", "dry_level")),
    Task("delay: Delay", "pedalboard-builtin:Delay", ("delay_seconds", "feedback", "mix")),
)
SEARCHES = (
    Task("LadderFilter, 1 curve", "pedalboard-builtin:LadderFilter", ("cutoff_hz",)),
    Task("LadderFilter, 2 curves", "pedalboard-builtin:LadderFilter", ("cutoff_hz", "resonance")),
    Task("ZamEQ2 (VST3), 2 curves", "pedalboard:ZamEQ2.vst3", ("Boost/Cut 1", "Frequency 1")),
    Task("ZamCompX2 (VST3), 1 curve", "pedalboard:ZamCompX2.vst3", ("Threshold",), (("Ratio", 0.5),)),
    Task("MDA RezFilter (LV2), 2 curves", f"{MDA}RezFilter", ("Freq", "Res")),
)
COSTS = (
    Task("MDA Overdrive (LV2, DawDreamer)", f"{MDA}Overdrive", ("Drive",)),
    Task("MDA RezFilter (LV2, DawDreamer)", f"{MDA}RezFilter", ("Freq", "Res")),
    Task("ZamCompX2 (VST3, DawDreamer)", "dawdreamer:ZamCompX2.vst3", ("Threshold", "Makeup")),
    Task("ZamCompX2 (VST3, Pedalboard)", "pedalboard:ZamCompX2.vst3", ("Threshold", "Makeup")),
    Task("ZamEQ2 (VST3, Pedalboard)", "pedalboard:ZamEQ2.vst3", ("Boost/Cut 1", "Frequency 1")),
    Task("LadderFilter (Pedalboard)", "pedalboard-builtin:LadderFilter", ("cutoff_hz", "resonance")),
    Task("Compressor (Pedalboard)", "pedalboard-builtin:Compressor", ("threshold_db",)),
    Task("Reverb (Pedalboard)", "pedalboard-builtin:Reverb", ("wet_level",)),
    Task("Gain (Pedalboard)", "pedalboard-builtin:Gain", ("gain_db",)),
)


def recording() -> tuple[Audio, float]:
    audio, rate = example()
    return np.ascontiguousarray(audio[:, : round(SECONDS * rate)]), rate


def automated(task: Task, knots: int, rate: float) -> EffectSpec:
    spec = EffectSpec.of(task.address, rate, task.moving, dict(task.fixed))
    return Automated(spec, knots, task.moving, seconds=SECONDS).spec


def bent(count: int, knots: int, seed: int, low: float, high: float) -> FloatArray:
    """`[count · knots]`: curves through five points each."""
    rng, at = np.random.default_rng(seed), np.linspace(0.0, 1.0, knots)
    return np.concatenate([np.interp(at, np.linspace(0.0, 1.0, 5), rng.uniform(low, high, 5)) for _ in range(count)])


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a * b).sum() / (a.norm() * b.norm()).clamp(min=1e-30))


def gradient_row(task: Task, host: Host) -> str:
    """Against central differences of every knot, of the linearised multi-resolution loss toward other curves."""
    audio, rate = recording()
    x = torch.from_numpy(audio)[None]
    renderer = Renderer(automated(task, KNOTS, rate), host)
    count = len(task.moving)
    p, q = (torch.from_numpy(bent(count, KNOTS, seed, 0.3, 0.7))[None] for seed in (1, 2))
    y, finite = renderer.render(x, p)
    target, _ = renderer.render(x, q)
    here = y.clone().requires_grad_()
    (weights,) = torch.autograd.grad(loss_for("mrstft", target[0], rate)(here).sum(), here)

    def posed(seed: int) -> Problem:
        return renderer.cotangent_problem(x, p, y, finite, lambda: weights, torch.Generator().manual_seed(seed))

    truth = FiniteDifference(step=0.01).estimate(posed(0)).gradient
    measuring = Segments(samples=KNOTS * count)
    measuring.estimate(posed(0))
    problem = posed(1)
    found = Segments(samples=KNOTS * count, memory=measuring.memory).estimate(problem).gradient
    within = posed(2)
    limited = Segments(samples=16, memory=measuring.memory).estimate(within).gradient
    single = Coordinates(samples=16).estimate(posed(3)).gradient
    memory = measuring.memory or 0.0
    return (
        f"| {task.name} | {count} × {KNOTS} | {1000 * memory:.0f} ms | {problem.probes} | {cosine(found, truth):.3f} | "
        f"{within.probes} | {cosine(limited, truth):.3f} | {cosine(single, truth):.3f} |"
    )


def search_row(task: Task, host: Host, renders: int, seeds: Sequence[int]) -> str:
    """Hidden curves, and what `match` makes of the recording."""
    audio, rate = recording()
    spec = automated(task, FOUND_KNOTS, rate)
    errors, largest, made, left = [], [], [], []
    for seed in seeds:
        hidden = bent(len(task.moving), FOUND_KNOTS, 100 + seed, 0.15, 0.85)
        target, _ = host.render_batch(spec, audio[None], hidden[None])
        found = match(spec, audio, target[0], renders=renders, seed=seed, host=host)
        apart = np.abs(found.point - hidden).reshape(len(task.moving), -1)
        errors.append(apart.mean(axis=1))
        largest.append(apart.max())
        made.append(found.renders)
        left.append(found.loss / found.loss_start)
    each = np.mean(errors, axis=0)
    shown = ", ".join(f"{name} {error:.3f}" for name, error in zip(task.moving, each, strict=True))
    worst = float(np.max(errors))
    return f"| {task.name} | {shown} | {worst:.3f} | {max(largest):.3f} | {max(left):.2g} | {statistics.median(made):.0f} |"


def cost_row(task: Task, rounds: int) -> str:
    """A render whose settings move all the time, beside one whose settings stay."""
    audio, rate = recording()
    with load(automated(task, FOUND_KNOTS, rate)) as effect:
        still = effect.still
        assert still is not None
        point = bent(len(task.moving), FOUND_KNOTS, 0, 0.2, 0.8)
        constant = point.reshape(len(task.moving), -1).mean(axis=1)

        def timed(render: Callable[[], object]) -> float:
            render()  # with the caches full of its own data
            began = time.process_time()
            render()
            return time.process_time() - began

        pairs = [
            (timed(lambda: effect.render(audio, point)), timed(lambda: still.render(audio, constant))) for _ in range(rounds)
        ]
        moving, staying = (statistics.median(times) for times in zip(*pairs, strict=True))
        block = still.curve_block
    return f"| {task.name} | {len(task.moving)} | {block} | {1000 * staying:.2f} ms | **{moving / staying:.2f}** |"


def page(gradients: Sequence[str], searches: Sequence[str], costs: Sequence[str], seeds: int) -> str:
    return "\n".join(
        [
            "# Settings that move, measured",
            "",
            f"This page is generated by `make curves`, on {SECONDS:g} s of a guitar. [How to use curves](../how-to/curves.md).",
            "",
            "## All knots from few renders",
            "",
            "The gradient of the linearised `mrstft` loss toward other curves, for all knots. The truth is central differences of",
            "every knot (two renders a knot). *memory*: how long a change is heard, as `Segments` measures it. *all*: the renders",
            "that it takes for all knots, and the cosine with the truth. *16*: the same with at most 16 renders; beside it, 16",
            "renders of `Coordinates`, which moves one knot at a time.",
            "",
            "| effect | curves × knots | memory | all: renders | cosine | 16: renders | cosine | Coordinates |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
            *gradients,
            "",
            "Filters, gains, compressors and distortions forget within a knot or two. A reverb does not, and takes more renders",
            "for the same exactness. Of MDA Combo, a step up and a step down give different slopes, so differences to one side",
            "say less. A delay whose *time* moves has no useful linearisation at any step: see",
            "[choose an estimator](../how-to/choose-an-estimator.md).",
            "",
            "## Curves found by `match`",
            "",
            f"Hidden curves of {FOUND_KNOTS} knots, through five random heights between 0.15 and 0.85; {seeds} seeds. Errors are",
            "of the normalised value: of each curve on average, of the worst curve, and of the worst knot. *loss*: the largest",
            "final loss, relative to that of the default settings.",
            "",
            "| effect | mean error | worst curve | worst knot | loss | renders |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
            *searches,
            "",
            "## The cost of a curve",
            "",
            "A render whose settings move in every block, relative to one whose settings stay at the middle of the curves; the two",
            "take turns. Processor time.",
            "",
            "| effect | curves | block | constant | relative cost |",
            "| --- | ---: | ---: | ---: | ---: |",
            *costs,
            "",
            "DawDreamer reads curves itself. Pedalboard renders block by block, and each block costs a call: a light effect",
            "notices it most, and a busy machine makes it dearer. Where that matters, open a VST3 in DawDreamer.",
            "",
        ]
    )


def main(
    write: Annotated[Path | None, typer.Option("--page", help="Write the page here.")] = None,
    seeds: Annotated[int, typer.Option(help="Hidden curves of each search.")] = 3,
    renders: Annotated[int, typer.Option(help="The most of each search.")] = 500,
    rounds: Annotated[int, typer.Option(help="Of each cost.")] = 15,
) -> None:
    """Measure, and write the page."""
    console = Console(stderr=True)
    costs = []
    for task in COSTS:
        costs.append(cost_row(task, rounds))
        console.print(costs[-1], soft_wrap=True)
    gradients, searches = [], []
    with ProcessPool() as host:
        for task in GRADIENTS:
            gradients.append(gradient_row(task, host))
            console.print(gradients[-1], soft_wrap=True)
        for task in SEARCHES:
            searches.append(search_row(task, host, renders, range(seeds)))
            console.print(searches[-1], soft_wrap=True)
    text = page(gradients, searches, costs, seeds)
    if write is None:
        print(text)
        return
    with replacing(write) as temporary:
        temporary.write_text(text, "utf-8")


if __name__ == "__main__":
    typer.run(main)
