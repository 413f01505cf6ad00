"""Speed of a training step, as ratios measured in one run; writes `docs/measured/benchmarks.md`.

    python benchmarks/speed.py

The contestants take turns, round after round, so that other load on the machine affects all of them. Each figure is a median.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dawdreamer
import numpy as np
import pedalboard
import torch
from auraloss.freq import MultiResolutionSTFTLoss

from blackbox_grad import SPSA, Auto, DifferentiableEffect, EffectSpec, Estimate, Estimator, Problem, ProcessPool
from blackbox_grad_backends.native import plugin_folders

BATCH, SAMPLE_RATE = 12, 44100  # mono recordings, through plug-ins with two channels
RENDERS = 3 * BATCH
OVERDRIVE = "http://drobilla.net/plugins/mda/Overdrive"
COMPRESSOR = ("Attack", "Release", "Knee", "Ratio", "Threshold", "Makeup")
PAGE = Path(__file__).parent.parent / "docs" / "measured" / "benchmarks.md"

Render = Callable[[np.ndarray, list[float]], np.ndarray]


@dataclass(frozen=True)
class Bare:
    """An effect by its library's own calls: `render(audio [2, T], values [P])`, with its parameters set in the fastest way, and
    in the way of the library's documentation."""

    address: str
    parameters: tuple[str, ...]
    render: Render
    render_by_attribute: Render


def zam_comp() -> Bare:
    plugin = pedalboard.load_plugin(str(plugin_folders.find("ZamCompX2.vst3", "vst3")))
    controls = {p.name: p for p in plugin._parameters}
    chosen = [controls[name] for name in COMPRESSOR]
    attributes = [next(key for key in plugin.parameters if key.startswith(name.lower())) for name in COMPRESSOR]

    def render(audio: np.ndarray, values: list[float]) -> np.ndarray:
        for control, value in zip(chosen, values, strict=True):
            control.raw_value = value
        return plugin.process(audio, SAMPLE_RATE, buffer_size=8192, reset=True)

    def by_attribute(audio: np.ndarray, values: list[float]) -> np.ndarray:
        for attribute, value in zip(attributes, values, strict=True):
            low, high, _ = plugin.parameters[attribute].range
            setattr(plugin, attribute, low + value * (high - low))
        return plugin.process(audio, SAMPLE_RATE)

    return Bare("pedalboard:ZamCompX2.vst3", COMPRESSOR, render, by_attribute)


def mda_overdrive() -> Bare:
    engine = dawdreamer.RenderEngine(SAMPLE_RATE, 512)
    player = engine.make_playback_processor("audio", np.zeros((2, 512), np.float32))
    plugin = engine.make_plugin_processor("plugin", OVERDRIVE)

    def render(audio: np.ndarray, values: list[float]) -> np.ndarray:
        player.set_data(audio)
        engine.load_graph([(player, []), (plugin, ["audio"])])
        for index, value in enumerate(values):
            plugin.set_parameter(index, value)
        engine.render((audio.shape[1] + 0.5) / SAMPLE_RATE)
        return engine.get_audio()

    return Bare(f"dawdreamer:{OVERDRIVE}", ("Drive", "Muffle", "Output"), render, render)


class PlainLayer(torch.autograd.Function):
    """A simple layer: in this process, one item after the other, parameters by attribute, with perturbed audio too."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, p: torch.Tensor, render: Render) -> torch.Tensor:
        ctx.save_for_backward(x, p)
        ctx.render = render
        return torch.stack([PlainLayer.item(render, *pair) for pair in zip(x, p, strict=True)])

    @staticmethod
    def item(render: Render, x: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        stereo = render(x.expand(2, -1).numpy(), p.clamp(0.01, 0.99).tolist())
        return torch.from_numpy(stereo.mean(axis=0, keepdims=True))

    @staticmethod
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        step, to_x, to_p = 0.01, [], []
        for x, p, weight in zip(*ctx.saved_tensors, cotangent, strict=True):
            signs, noise = (torch.randint(0, 2, t.shape) * 2.0 - 1 for t in (p, x))
            up, down = (PlainLayer.item(ctx.render, x, p + s * step * signs) for s in (1, -1))
            to_p.append(((up - down) * weight).sum() / (2 * step * signs))
            up, down = (PlainLayer.item(ctx.render, x + s * step * noise, p) for s in (1, -1))
            to_x.append((up - down) * weight / (2 * step * noise))
        return torch.stack(to_x), torch.stack(to_p), None


def medians(rounds: int, *what: Callable[[], object]) -> list[float]:
    """Seconds of each, in turns, with the processor's caches full of its own data, as in its own loop."""
    seconds: list[list[float]] = [[] for _ in what]
    for _ in range(rounds):
        for one, times in zip(what, seconds, strict=True):
            one()
            start = time.perf_counter()
            one()
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


def step_row(bare: Bare, samples: int, pool: ProcessPool, rounds: int) -> str:
    layer = DifferentiableEffect(bare.address, SAMPLE_RATE, parameters=bare.parameters, estimator=SPSA(), host=pool)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, 1, samples, generator=generator) * 0.1
    cotangent = torch.randn(BATCH, 1, samples, generator=generator)
    p = torch.rand(BATCH, len(bare.parameters), generator=generator).mul(0.8).add(0.1).requires_grad_()
    arrays, points = x.expand(-1, 2, -1).contiguous().numpy(), p.detach().numpy().astype(float).tolist()

    def loop() -> None:
        for audio, point in zip(arrays, points, strict=True):
            bare.render(audio, point)

    def plain() -> None:
        PlainLayer.apply(x, p, bare.render_by_attribute).backward(cotangent)

    one, step, slow = medians(rounds, loop, lambda: layer(x, p).backward(cotangent), plain)
    ideal = one * (RENDERS / BATCH) / pool.hosts
    return (
        f"| {layer.info.name}, {len(bare.parameters)} parameters | {samples:,} | {1e3 * one / BATCH:.2f} ms | "
        f"{1e3 * step:.1f} ms | **{step / ideal:.2f}** | {1e3 * slow:.0f} ms | **{slow / step:.1f} ×** |"
    )


class Timed:
    """An estimator that records its own time, without its probes."""

    def __init__(self, estimator: Estimator) -> None:
        self.estimator = estimator
        self.seconds = 0.0

    def estimate(self, problem: Problem) -> Estimate:
        def waiting(function: Callable[..., Any]) -> Callable[..., Any]:
            def wait(*arguments: torch.Tensor) -> Any:
                started = time.perf_counter()
                try:
                    return function(*arguments)
                finally:
                    self.seconds -= time.perf_counter() - started

            return wait

        loss = None if problem.loss is None else replace(problem.loss, find_sounds=waiting(problem.loss.find_sounds))
        problem = replace(problem, evaluate=waiting(problem.evaluate), loss=loss)
        started = time.perf_counter()
        try:
            return self.estimator.estimate(problem)
        finally:
            self.seconds += time.perf_counter() - started


def thinking_row(address: str, seconds: float, batch: int, what: str, pool: ProcessPool, rounds: int) -> str:
    """The default estimator's own share of a training step, with and without emulation."""
    timed = Timed(Auto(items=1))
    layer = DifferentiableEffect(address, SAMPLE_RATE, estimator=timed, host=pool)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, 1, round(seconds * SAMPLE_RATE), generator=generator) * 0.1
    count = len(layer.parameter_space)
    hidden, p = torch.full((batch, count), 0.6), torch.nn.Parameter(torch.full((batch, count), 0.3))
    with torch.no_grad():
        target = layer(x, hidden)
    adam = torch.optim.Adam([p], lr=0.01)
    measure = MultiResolutionSTFTLoss()
    shares = []
    filling = 60 if batch == 1 else 3  # steps until the emulator is full
    for step in range(filling + rounds):
        timed.seconds, started = 0.0, time.perf_counter()
        adam.zero_grad()
        layer.loss(x, p, measure, target).backward()
        adam.step()
        p.data.clamp_(0.0, 1.0)
        if step >= filling:
            shares.append((timed.seconds, time.perf_counter() - started))
    thought, whole = (statistics.median(part) for part in zip(*shares, strict=True))
    return (
        f"| {what} | {layer.info.name}, {count} parameters | {batch} × {seconds:g} s | {1e3 * whole:.0f} ms | "
        f"{1e3 * thought:.1f} ms | **{statistics.median(a / b for a, b in shares):.1%}** |"
    )


def scaling(rounds: int) -> float:
    """Throughput of two hosts divided by that of one."""
    spec = EffectSpec.of(f"dawdreamer:{OVERDRIVE}")
    audio = np.random.default_rng(0).standard_normal((24, 2, 65536), dtype=np.float32) * 0.1
    points = np.random.default_rng(1).random((24, 3))
    with ProcessPool(1) as one, ProcessPool(2) as two:
        single, double = medians(
            rounds, lambda: one.render_batch(spec, audio, points), lambda: two.render_batch(spec, audio, points)
        )
    return single / double


def resident(pid: int) -> float:
    """Memory of a process, MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return float("nan")


def starting(rounds: int) -> tuple[float, float]:
    """Seconds until a new host answers, and its memory with a plug-in open, MB."""
    spec = EffectSpec.of("reference:gain")
    seconds = []
    for _ in range(rounds):
        with ProcessPool(1) as pool:
            start = time.perf_counter()
            pool.open(spec)
            seconds.append(time.perf_counter() - start)
    with ProcessPool(1) as pool:
        pool.open(EffectSpec.of("pedalboard:ZamCompX2.vst3"))
        return statistics.median(seconds), max(resident(worker._process.pid) for worker in pool._members.owners)


def growth(renders: int = 20_000) -> float:
    """Growth of the host that grows most, after this number of renders, MB."""
    spec = EffectSpec.of(f"dawdreamer:{OVERDRIVE}")
    audio = np.zeros((100, 1, 512), np.float32)
    points = np.full((100, 3), 0.5)
    with ProcessPool(1) as pool:
        for _ in range(10):
            pool.render_batch(spec, audio, points)
        (worker,) = pool._members.owners
        before = resident(worker._process.pid)
        for _ in range(renders // 100):
            pool.render_batch(spec, audio, points)
        return resident(worker._process.pid) - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds per comparison")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # torch's threads wait by spinning, on the cores that the hosts need
    with ProcessPool(2) as pool:
        rows = [
            step_row(bare, samples, pool, arguments.rounds)
            for bare in (mda_overdrive(), zam_comp())
            for samples in (131_072, 24_000)
        ]
        thoughts = [
            thinking_row(address, seconds, batch, what, pool, arguments.rounds)
            for what, batch in (("a network learns", 12), ("settings are fitted", 1))
            for address in (f"dawdreamer:{OVERDRIVE}", "pedalboard:ZamEQ2.vst3")
            for seconds in (1.0, 5.0)
        ]
    start, memory = starting(5)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("torch", "numpy", "pedalboard", "dawdreamer"))
    page = f"""# Benchmarks

This page is generated by `make bench`: medians of {arguments.rounds} rounds, in which the contestants take turns.

{platform.machine()}, {pool.hosts} hosts; Python {platform.python_version()}, {libraries}.

## A training step

Forward and backward with classical SPSA: {RENDERS} renders, a batch of {BATCH} mono recordings. *Bare* is one render by the host
library's own calls, on one core. *Overhead* is the step divided by what its renders cost bare on {pool.hosts} cores; 1 is the
least possible. *The plain way* renders in the training process, one item after the other, sets parameters by attribute, and
perturbs the audio too. It makes 5 renders an item. With {pool.hosts} hosts and no overhead on either side, it would take
{5 * BATCH / RENDERS * pool.hosts:.1f} times as long.

| effect | samples | bare | step | overhead | the plain way | faster |
|---|---:|---:|---:|---:|---:|---:|
{chr(10).join(rows)}

The overhead above 1 has two parts. Each render doubles a mono recording, averages the channels again, checks for samples
that are not finite, and takes the inner product with the cotangent (0.3 ms at 131 072 samples). Each step copies audio
and cotangent, computes the estimate and wakes the hosts (about 2 ms). The overhead is largest where a render is quick.
Figures differ between machines.

## What the estimator takes

`auto:items=1` computes in this process, on one core. It chooses probes, and emulates the effect where settings are
fitted to one recording. Renders and losses are part of a step, but not of its own time. The loss is the
multi-resolution spectral one of auraloss.

| | effect | recordings | a step | its own time | share |
|---|---|---:|---:|---:|---:|
{chr(10).join(thoughts)}

## Hosts

| | |
|---|---:|
| throughput of two hosts over that of one | {scaling(arguments.rounds):.2f} × |
| a new host answers after | {start:.2f} s |
| its memory, with ZamCompX2 open | {memory:.0f} MB |
| it grows in 20 000 renders by | {growth():.1f} MB |
"""
    temporary = arguments.output.with_suffix(".tmp")
    temporary.write_text(page, "utf-8")
    temporary.replace(arguments.output)
    print(page)


if __name__ == "__main__":
    main()
