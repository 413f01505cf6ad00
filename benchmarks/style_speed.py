"""Speed of style matching: the parts of a training step, a match, a training; writes `docs/measured/style-speed.md`.

    python benchmarks/style_speed.py

A step belongs to the stage on the sound, as in `blackbox-grad style train`: the same stage, trained by the same `fit`. It needs no
corpora: the pairs come from the bundled guitar. A match takes 5 s of it.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from blackbox_grad import ProcessPool, audio_files
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.hosts import usable_cores
from blackbox_grad_adapters.style_matching.data.pairs import Pair, PairDataset
from blackbox_grad_adapters.style_matching.data.recordings import Tracks, in_folder
from blackbox_grad_adapters.style_matching.data.shards import SIZE, PairShards
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.training.audio_stage import AudioStage
from blackbox_grad_adapters.style_matching.training.controller_training import ESTIMATOR, Plan
from blackbox_grad_adapters.style_matching.training.features import heard
from blackbox_grad_adapters.style_matching.training.settings_stage import embedded
from blackbox_grad_adapters.style_matching.training.stage import fit

PAGE = Path(__file__).parent.parent / "docs" / "measured" / "style-speed.md"
EFFECTS = (*(f"{shipped.MDA}/{name}" for name in ("Overdrive", "Delay", "Dynamics", "Leslie")), "pedalboard-builtin:Reverb")
PLAN = Plan()

#: Limits: the plug-in's share of a step, seconds of a match, and minutes of training.
SHARE, MATCH, CONTROLLER, ENCODER = 0.40, 2.0, 15.0, 45.0


class Clock:
    """Seconds spent in the functions that it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start


class TimedPool(ProcessPool):
    """A pool that records how long its callers have waited for it, including copies of the audio."""

    def __init__(self, hosts: int | None) -> None:
        self.clock = Clock()
        super().__init__(hosts)

    def share(self, audio: Any) -> Any:
        with self.clock.running():
            return super().share(audio)

    def render_batch(self, *arguments: Any) -> Any:
        with self.clock.running():
            return super().render_batch(*arguments)


class TimedStage(AudioStage):
    """The stage on the sound, with the seconds of each of its steps: for data, for the plug-in, and in all."""

    def __init__(self, *arguments: Any, pool: TimedPool, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.clocks = (Clock(), pool.clock, Clock())
        self.rows: list[list[float]] = []

    def sounds(self, rows: Tensor) -> Pair:
        with self.clocks[0].running():
            return super().sounds(rows)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        super().on_train_batch_start(batch, batch_idx)
        self._before = [clock.seconds for clock in self.clocks]
        self._start = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        self.clocks[2].seconds += time.perf_counter() - self._start
        self.rows.append([clock.seconds - before for clock, before in zip(self.clocks, self._before, strict=True)])


@dataclass(frozen=True)
class Step:
    """Medians of a training step's parts, in seconds."""

    data: float
    plugin: float
    whole: float

    @property
    def share(self) -> float:
        """The plug-in's."""
        return self.plugin / self.whole


def step_of(address: str, tracks: Tracks, pool: TimedPool, steps: int, folder: Path) -> Step:
    controller, encoder = shipped.controller(address)
    path = EffectPath(address, encoder.sample_rate, host=pool, estimator=ESTIMATOR)
    pairs = PairDataset(path, tracks, length=encoder.length)
    sounds: PairShards[Pair] = PairShards(pairs, SIZE, folder)
    sounds.build(0)
    known = embedded(encoder, heard(pairs, encoder, SIZE, folder))
    judged: Pair = torch.utils.data.default_collate([sounds[i] for i in range(4)])
    epochs = -(-(steps + 1) // (SIZE // PLAN.audio_batch))
    stage = TimedStage(
        controller.requires_grad_(True),
        path,
        sounds,
        known,
        judged,
        known,
        epochs=epochs,
        batch=PLAN.audio_batch,
        steps=PLAN.audio_steps,
        rate=PLAN.audio_rate,
        weights=PLAN.weights,
        seed=0,
        pool=pool,
    )
    fit(stage, folder / "fit" / shipped.file_of(address).stem, epochs=epochs)
    return Step(*(statistics.median(part) for part in zip(*stage.rows[1 : steps + 1], strict=True)))  # the first one warms up


def seconds_of(what: Callable[[], object], rounds: int) -> float:
    clocks = [Clock() for _ in range(rounds)]
    for clock in clocks:
        with clock.running():
            what()
    return statistics.median(clock.seconds for clock in clocks)


def match_of(address: str, rounds: int) -> float:
    """Seconds of a match with weights loaded and the effect open."""
    clip, rate = audio_files.example()
    with ProcessPool(1) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some effects sound different at the clip's rate than in training
        matcher = StyleMatcher.load(address, pool)
        matcher.match(clip, clip, rate)  # opens the effect at the clip's rate
        return seconds_of(lambda: matcher.match(clip, clip, rate), rounds)


def command_of(address: str, rounds: int, folder: Path) -> float:
    """Seconds of the command, which loads everything first."""
    source = folder / "clip.wav"
    audio_files.write(source, *audio_files.example())
    program = [sys.executable, "-c", "from blackbox_grad.cli import main; main()", "style", "match"]
    options = ["--effect", address, "--input", str(source), "--reference", str(source), "-o", str(folder / "matched.wav")]
    return seconds_of(lambda: subprocess.run([*program, *options], check=True, capture_output=True), rounds)


def minutes_of_training() -> tuple[float, dict[str, float]]:
    """Minutes of training of the encoder and of each controller in the package, from their headers."""
    encoder = shipped.encoder().header["seconds"] / 60
    files = {address: shipped.file_of(address) for address in shipped.EFFECTS}
    there = [address for address, file in files.items() if file.exists()]
    return encoder, {address: shipped.controller(address)[0].header["seconds"] / 60 for address in there}


def named(address: str) -> str:
    return shipped.short_name(address) if address.startswith(shipped.MDA) else address


def page(steps: dict[str, Step], matches: dict[str, float], command: float, machine: str) -> str:
    clip, rate = audio_files.example()
    channels, length = clip.shape[0], clip.shape[1] / rate
    encoder, controllers = minutes_of_training()
    slowest = max(controllers, key=controllers.__getitem__)
    most = max(steps, key=lambda address: steps[address].share)
    step_rows = "\n".join(
        f"| {named(address)} | {1e3 * step.whole:.0f} ms | {step.data / step.whole:.0%} | **{step.share:.0%}** | "
        f"{1 - (step.data + step.plugin) / step.whole:.0%} |"
        for address, step in steps.items()
    )
    match_rows = "\n".join(f"| {named(address)} | **{seconds:.2f} s** |" for address, seconds in matches.items())
    return f"""# Speed of style matching

This page is generated by `make style-speed`. {machine}

## A training step

A step of the stage on the sound: {PLAN.audio_batch} pairs of 2.7 s, each rendered three times. *Data* is
reading the pairs from the cache. *Plug-in* is waiting for renders, and copying audio to the hosts. The rest is the controller, the
spectra of the renders, and the optimiser. Medians. The plug-in's share must be {SHARE:.0%} at most; the
largest is {named(most)}'s, {steps[most].share:.0%}.

| effect | a step | data | plug-in | network and loss |
|---|---:|---:|---:|---:|
{step_rows}

## A match

`StyleMatcher.match` of {length:g} s at {rate:g} Hz in {channels} channels, with a reference as long, weights loaded and the
effect open. It must take {MATCH:g} s at most. The command `style match` takes {command:.1f} s, because it starts Python,
imports torch, opens the effect and writes the file.

| effect | a match |
|---|---:|
{match_rows}

## A training

Minutes of training, without the rendering of pairs, from the headers of the package's weights. A controller must
take {CONTROLLER:g} at most, and {named(slowest)} took {controllers[slowest]:.1f}, the longest; the encoder {ENCODER:g}, and it took
{encoder:.1f}. [All of them](style-weights.md).
"""


def measured(effects: Sequence[str], steps: int, rounds: int, hosts: int | None) -> str:
    """The page."""
    found: dict[str, Step] = {}
    matches: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, TimedPool(hosts) as pool:
        folder = Path(name)
        (folder / "recordings" / "guitar").mkdir(parents=True)
        for number in range(3):  # short recordings of a group are joined
            audio_files.write(folder / "recordings" / "guitar" / f"{number}.wav", *audio_files.example())
        tracks = Tracks(in_folder(folder / "recordings"), shipped.encoder().sample_rate, folder=folder)
        for address in effects:
            try:
                found[address] = step_of(address, tracks, pool, steps, folder)
                matches[address] = match_of(address, rounds)
            except BlackboxGradError as error:
                print(f"left out: {error}", file=sys.stderr, flush=True)
            else:
                print(f"{named(address)}: {found[address]}, a match in {matches[address]:.2f} s", file=sys.stderr, flush=True)
        if not matches:
            raise SystemExit("nothing could be measured")
        command = command_of(next(iter(matches)), min(rounds, 3), folder)
        libraries = ", ".join(f"{library} {version(library)}" for library in ("torch", "lightning", "pedalboard", "dawdreamer"))
        machine = (
            f"{platform.machine()}, {usable_cores()} cores, hosts: {pool.hosts}, threads of torch: {torch.get_num_threads()};\n"
            f"Python {platform.python_version()}, {libraries}."
        )
    return page(found, matches, command, machine)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--effects", nargs="+", default=EFFECTS, help="addresses with weights in the package")
    parser.add_argument("--steps", type=int, default=20, help="steps per training")
    parser.add_argument("--rounds", type=int, default=5, help="matches per effect")
    parser.add_argument("--hosts", type=int, help="processes that render; one per core by default, as in `style train`")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page to write")
    arguments = parser.parse_args()
    text = measured(arguments.effects, arguments.steps, arguments.rounds, arguments.hosts)
    with audio_files.replacing(arguments.output) as temporary:
        temporary.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
