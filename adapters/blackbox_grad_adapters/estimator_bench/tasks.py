"""The tasks: effect × recording × loss × seed, where the seed draws the hidden settings and the settings to start from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox_grad import DifferentiableEffect, Estimator, ProcessPool
from blackbox_grad.losses import loss_for
from blackbox_grad_adapters.estimator_bench.recordings import LENGTH, SAMPLE_RATE, excerpt

_MDA = "dawdreamer:http://drobilla.net/plugins/mda/"


@dataclass(frozen=True)
class Subject:
    """An effect of the bench.

    Attributes:
        address: of the effect; the search is over its continuous parameters.
        ranges: ranges of random settings for some parameters; the others have `RANGE`.
        fixed: values of parameters that stay.
    """

    address: str
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)


RANGE = (0.1, 0.9)

EFFECTS = {
    "overdrive": Subject(_MDA + "Overdrive"),
    # with more feedback it is unstable
    "delay": Subject(_MDA + "Delay", {"Feedback": (0.1, 0.5), "Fb Tone": (0.3, 0.7)}),
    "ambience": Subject(_MDA + "Ambience"),
    "combo": Subject(_MDA + "Combo"),
    "ringmod": Subject(_MDA + "RingMod"),
    "dynamics": Subject(_MDA + "Dynamics"),
    "multiband": Subject(_MDA + "MultiBand"),
    "leslie": Subject(_MDA + "Leslie"),
    "thruzero": Subject(_MDA + "ThruZero"),
    "rezfilter": Subject(_MDA + "RezFilter"),
    # above 12 kHz, half of the sample rate, it is unstable
    "zam-eq2": Subject("pedalboard:ZamEQ2.vst3", {"Frequency L": (0.05, 0.4), "Frequency H": (0.2, 0.8)}),
    "zam-comp": Subject("pedalboard:ZamCompX2.vst3"),
    # the parameter runs to 8 s, the recordings to 0.68 s
    "zam-delay": Subject("pedalboard:ZamDelay.vst3", {"Time": (0.005, 0.05), "Feedback": (0.1, 0.6)}),
    # the slowest: 25 ms per render; others take 1 ms
    "zam-geq31": Subject("pedalboard:ZamGEQ31.vst3"),
    "multicomp": Subject("pedalboard:ZaMultiComp.vst3", fixed={f"ZamComp {band} ON": 1.0 for band in (1, 2, 3)}),
    "compressor": Subject("pedalboard-builtin:Compressor"),
    "chorus": Subject("pedalboard-builtin:Chorus"),
    "phaser": Subject("pedalboard-builtin:Phaser"),
    "reverb": Subject("pedalboard-builtin:Reverb"),
    "ladder": Subject("pedalboard-builtin:LadderFilter"),
    "chain": Subject(f"pedalboard-builtin:LadderFilter | {_MDA}Overdrive | pedalboard-builtin:Reverb"),
    "biquad": Subject("reference:biquad"),
    "reference-delay": Subject("reference:delay"),
}

_TABLE = """
overdrive   guitar  mrstft    1
overdrive   speech  auraloss  2
overdrive   band    l1        3
delay       guitar  mrstft    1
delay       speech  mrstft    2
ambience    speech  mrstft    1
ambience    guitar  auraloss  2
combo       riff    mrstft    1
combo       guitar  auraloss  2
combo       band    l1        3
ringmod     speech  mrstft    1
ringmod     guitar  mrstft    2
dynamics    speech  mrstft    1
dynamics    band    auraloss  2
multiband   band    mrstft    1
multiband   riff    auraloss  2
leslie      guitar  mrstft    1
leslie      band    mrstft    2
thruzero    riff    mrstft    1
thruzero    guitar  mrstft    2
rezfilter   band    mrstft    1
rezfilter   riff    auraloss  2
zam-eq2     guitar  mrstft    1
zam-eq2     speech  auraloss  2
zam-eq2     band    mrstft    3
zam-comp    speech  mrstft    1
zam-comp    band    auraloss  2
zam-comp    riff    l1        3
zam-delay   speech  mrstft    1
zam-delay   guitar  mrstft    2
multicomp   band    mrstft    1
multicomp   speech  mrstft    2
compressor  speech  mrstft    3
compressor  riff    l1        4
chorus      guitar  mrstft    1
chorus      band    mrstft    2
phaser      riff    mrstft    1
phaser      band    mrstft    2
reverb      speech  mrstft    1
reverb      guitar  auraloss  2
ladder      band    mrstft    1
ladder      riff    auraloss  2
chain       guitar  mrstft    1
chain       speech  auraloss  2
chain       band    mrstft    3
biquad           guitar  mrstft  1
reference-delay  guitar  mrstft  1
zam-geq31        band    mrstft  1
"""


@dataclass(frozen=True)
class Task:
    """One line of the table."""

    effect: str
    recording: str
    loss: str
    seed: int

    @property
    def name(self) -> str:
        return f"{self.effect}-{self.recording}-{self.loss}-{self.seed}"


TASKS = {
    task.name: task
    for effect, recording, loss, seed in (line.split() for line in _TABLE.split("\n") if line)
    for task in [Task(effect, recording, loss, int(seed))]
}


def matching(pattern: str) -> list[str]:
    """Names of the tasks that match one of several patterns, separated by commas; a plain word matches anywhere."""
    patterns = [p if "*" in p else f"*{p}*" for p in pattern.split(",")]
    return [name for name in TASKS if any(fnmatch(name, p) for p in patterns)]


@cache
def host() -> ProcessPool:
    """The host of this process: several processes work on tasks, so each has one host."""
    return ProcessPool(hosts=1, time_limit=20.0)


def layer_for(effect: str, estimator: str | Estimator | None = None) -> DifferentiableEffect:
    """A new layer, as an estimator may have state."""
    chosen: dict[str, Any] = {} if estimator is None else {"estimator": estimator}
    subject = EFFECTS[effect]
    return DifferentiableEffect(
        subject.address, SAMPLE_RATE, fixed=subject.fixed, host=host(), on_nonfinite="silence", **chosen
    )


class Posed:
    """A task with its audio and settings.

    Attributes:
        audio: `[1, 1, T]`.
        hidden, start: `[1, P] float64` in [0, 1]: the settings that made the target, and the settings to start from.
        target: `[1, 1, T]`.
        loss: `[B, 1, T]` -> `[B]`; 0 at the hidden settings.
        initial: the loss at the start.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.audio = torch.from_numpy(excerpt(task.recording).copy())[None]
        layer = layer_for(task.effect)
        generator = np.random.default_rng([task.seed, sum(task.effect.encode())])
        ranges = EFFECTS[task.effect].ranges
        low, high = np.array([ranges.get(name, RANGE) for name in layer.parameter_space.names]).T
        for _ in range(100):
            points = torch.from_numpy(generator.uniform(low, high, (2, len(low))))
            with torch.no_grad():
                audio = layer(self.audio, points)
            if audio.square().mean((1, 2)).min() > 1e-5:  # neither silent nor broken
                break
        else:
            raise RuntimeError(f"{task.name}: no settings found at which the effect is neither silent nor broken")
        self.hidden, self.start = points[:1], points[1:]
        self.target = audio[:1]
        self.loss = _loss(task.loss, audio[0])
        with torch.no_grad():
            self.initial = float(self.loss(audio[1:]))


@cache
def posed(name: str) -> Posed:
    """The task of this name, prepared once in each process."""
    return Posed(TASKS[name])


def _loss(name: str, target: Tensor) -> Callable[[Tensor], Tensor]:
    if name == "auraloss":
        from auraloss.freq import MultiResolutionSTFTLoss

        measure = MultiResolutionSTFTLoss(
            fft_sizes=[512, 2048, 8192], hop_sizes=[256, 1024, 4096], win_lengths=[512, 2048, 8192]
        )
        return partial(_one_by_one, measure, target[None])
    return loss_for(name, target, SAMPLE_RATE)


def _one_by_one(measure: Callable[[Tensor, Tensor], Tensor], target: Tensor, audio: Tensor) -> Tensor:
    return torch.stack([measure(item[None], target) for item in audio])


assert LENGTH >= 8192, "the losses have windows of 8192 samples"
