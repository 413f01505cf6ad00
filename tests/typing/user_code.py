"""Users' code for the type checker. `make lint` checks this file; nothing runs it.

A line with `type: ignore` must be an error: mypy reports an ignore that is not needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import assert_type

import blackbox_grad as bg
from blackbox_grad import DifferentiableEffect, Estimate, Estimator, ParameterSpace, Problem, load
from blackbox_grad.effects import Audio
from blackbox_grad.parameters import FloatArray


def wrap_a_plugin(x: Tensor, p: Tensor) -> Tensor:
    layer = DifferentiableEffect("pedalboard-builtin:Gain")
    y = layer(x, p)
    assert_type(y, Tensor)
    assert_type(layer.forward(x, p), Tensor)
    assert_type(layer.parameter_space, ParameterSpace)
    assert_type(layer.parameter_space.names, tuple[str, ...])
    return y


def choose_how(x: Tensor) -> nn.Module:
    bg.DifferentiableEffect("a.vst3", on_nonfinite="ignore")  # type: ignore[arg-type]
    bg.DifferentiableEffect("a.vst3", estimator=x)  # type: ignore[arg-type]
    return DifferentiableEffect(
        bg.chain("pedalboard-builtin:Distortion", "pedalboard-builtin:Reverb"),
        estimator=bg.SPSA(samples=2),
        audio_gradient="straight-through",
        host=bg.ProcessPool(hosts=2),
    )


def train_on_the_loss(layer: DifferentiableEffect, x: Tensor, p: Tensor, target: Tensor) -> None:
    def loss_fn(y: Tensor, target: Tensor) -> Tensor:
        return (y - target).abs().mean(dim=(1, 2))

    assert_type(layer.loss(x, p, loss_fn, target), Tensor)


def render_directly(audio: Audio) -> Audio:
    effect: bg.Effect = load("dawdreamer:http://drobilla.net/plugins/mda/Delay", sample_rate=48000, fixed={"Feedback": "20 %"})
    assert_type(effect.latency, int)
    assert_type(effect.parameters, ParameterSpace)
    return effect.render(audio, effect.parameters.defaults)


def find_settings(audio: Audio, target: Audio) -> dict[str, str]:
    found = bg.match("ZamDelay.vst3", audio, target, sample_rate=48000, fixed={"Time": "350 ms"}, probe_kind="loss")
    assert_type(found, bg.Match)
    assert_type(found.loss, float)
    assert_type(found.audio, Audio)
    bg.match("ZamDelay.vst3", audio, target, probe_kind="both")  # type: ignore[arg-type]
    return found.info.parameters.to_text(found.point)


def keep_promises() -> None:
    bg.testing.check_effect("pedalboard-builtin:Reverb", laws=["repeatable"])
    assert_type(bg.testing.check_estimator(RandomSearch()), list[str])
    assert_type(bg.testing.check_host("processes:hosts=2"), list[str])
    assert_type(bg.testing.check_host(bg.InProcessHost(), laws=["renders are counted"]), list[str])
    assert_type(bg.testing.check_loss(nn.L1Loss()), list[str])
    bg.testing.check_estimator(Unfinished())  # type: ignore[arg-type]


def choose_where(audio: Audio) -> bg.Host:
    assert_type(bg.default_host(), bg.Host)
    bg.inspect_effect("reference:gain", host="in-process")
    for row in bg.scan(check=True, host=bg.InProcessHost()):
        assert_type(row.address, str)
    with bg.hosts.opened_host("processes:hosts=2", time_limit=30.0) as host:
        assert_type(host.share(audio), Audio)
    bg.hosts.host(3)  # type: ignore[arg-type]
    return bg.hosts.host("in-process")


def measure_distance(y: Tensor, target: Tensor) -> Tensor:
    class Mine(bg.losses.Waveform):
        pass

    distance = bg.losses.loss_for(Mine, target, 44100.0)
    assert_type(distance, bg.losses.FeatureLoss)
    bg.losses.loss_for(lambda y, target: (y - target).abs().mean(), target, 44100.0)
    bg.losses.loss_for(3, target, 44100.0)  # type: ignore[arg-type]
    return distance(y)


def look_at_parameters(space: ParameterSpace) -> None:
    assert_type(space[0], bg.Parameter)
    assert_type(space[1:], tuple[bg.Parameter, ...])
    assert_type(space.point({"Time": "350 ms", "Mix": 0.5}), FloatArray)
    space.point({"Time": [350]})  # type: ignore[dict-item]


class RandomSearch:
    """An estimator of one's own: one class with one method, and nothing to inherit."""

    def estimate(self, problem: Problem) -> Estimate:
        points = torch.rand(4, problem.batch, problem.count, generator=problem.generator, dtype=torch.float64)
        best = problem.probe(points).argmin(dim=0)
        return Estimate(problem.point - points[best, torch.arange(problem.batch)])


class Unfinished:
    def estimate(self, problem: Problem) -> Tensor:
        return problem.point


estimator: Estimator = RandomSearch()
no_estimator: Estimator = Unfinished()  # type: ignore[assignment]


class Halved(bg.PluginEffect):
    """An effect of one's own."""

    def __init__(self, sample_rate: float) -> None:
        self.name = "Halved"
        self.parameters = ParameterSpace([bg.Parameter("Amount")])
        self.sample_rate = sample_rate
        self.inputs = self.outputs = 1

    def process(self, audio: Audio, values: FloatArray) -> Audio:
        return np.asarray(audio * (1 - 0.5 * values[0]), dtype=np.float32)


class HalvedBackend:
    """A backend of one's own, with nothing to inherit."""

    def open(self, locator: str, sample_rate: float, options: Mapping[str, Any]) -> bg.Effect:
        return Halved(sample_rate)

    def claims(self, locator: str) -> float:
        return 0.0

    def scan(self) -> Iterator[str]:
        yield "halved"


backend: bg.Backend = HalvedBackend()
