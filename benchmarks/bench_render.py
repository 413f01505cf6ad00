"""The cost of rendering through a host, against a bare loop over the same effect; `make bench` runs it.

A batch is 16 stereo items of 65 536 samples (1.5 s at 44.1 kHz), each at its own settings.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from blackbox_grad import SPSA, DifferentiableEffect, EffectSpec, Host, InProcessHost, ProcessPool, load

BATCH, CHANNELS, LENGTH = 16, 2, 65_536

EFFECTS = [
    "reference:gain",
    "pedalboard-builtin:Reverb",
    "pedalboard-builtin:Distortion",
    pytest.param("pedalboard:ZamDelay.vst3", marks=pytest.mark.plugins),
    pytest.param("dawdreamer:http://drobilla.net/plugins/mda/Overdrive", marks=pytest.mark.plugins),
]


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPool]:
    with ProcessPool() as pool:
        yield pool


@pytest.fixture(scope="module")
def in_process() -> Iterator[InProcessHost]:
    host = InProcessHost()
    yield host
    host.close()


@pytest.fixture
def audio() -> np.ndarray:
    return np.random.default_rng(0).normal(0.0, 0.1, (BATCH, CHANNELS, LENGTH)).astype(np.float32)


def some_points(parameters: int) -> np.ndarray:
    """Settings away from the ends, where some effects are unstable."""
    return np.random.default_rng(1).uniform(0.3, 0.7, (BATCH, parameters))


@pytest.mark.parametrize("address", EFFECTS)
@pytest.mark.benchmark(group="render a batch")
def bench_bare_loop(benchmark: BenchmarkFixture, address: str, audio: np.ndarray) -> None:
    with load(address) as effect:
        points = some_points(len(effect.parameters))
        benchmark(lambda: [effect.render(x, p) for x, p in zip(audio, points, strict=True)])


@pytest.mark.parametrize("address", EFFECTS)
@pytest.mark.parametrize("kind", ["in_process", "pool"])
@pytest.mark.benchmark(group="render a batch")
def bench_host(benchmark: BenchmarkFixture, request: pytest.FixtureRequest, kind: str, address: str, audio: np.ndarray) -> None:
    host: Host = request.getfixturevalue(kind)
    spec = EffectSpec.of(address)
    points = some_points(len(host.open(spec).parameters))
    benchmark(host.render_batch, spec, audio, points)


@pytest.mark.parametrize("address", EFFECTS)
@pytest.mark.benchmark(group="forward and backward, SPSA with one pair")
def bench_gradient(benchmark: BenchmarkFixture, pool: ProcessPool, address: str, audio: np.ndarray) -> None:
    layer = DifferentiableEffect(address, estimator=SPSA(samples=1), host=pool)
    x = torch.from_numpy(audio)
    p = torch.tensor(some_points(len(layer.parameter_space)), dtype=torch.float32, requires_grad=True)
    benchmark(lambda: layer(x, p).square().mean().backward())
