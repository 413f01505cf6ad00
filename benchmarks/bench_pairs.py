"""The time to make a pair for style matching: an excerpt, both halves through the effect, without silence and noise.

One host process renders while the caller waits for it, so this is the time on one core. A pair is 5.5 s of audio, 2 × 65 536
samples at 24 kHz; `times_real_time` of the mean is in the JSON of pytest-benchmark (`--benchmark-json`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from blackbox_grad import ProcessPool, audio_files
from blackbox_grad_adapters.style_matching.data.augmentation import Augmentation
from blackbox_grad_adapters.style_matching.data.pairs import LENGTH, PairDataset
from blackbox_grad_adapters.style_matching.data.recordings import Tracks, in_folder
from blackbox_grad_adapters.style_matching.effect_path import SAMPLE_RATE, EffectPath

MDA = ("Overdrive", "Combo", "MultiBand", "RingMod", "Delay", "ThruZero", "Dynamics", "Ambience", "Leslie")
BUILT_IN = ("Distortion", "Reverb", "Compressor", "Delay")
EFFECTS = [
    *(pytest.param(f"dawdreamer:http://drobilla.net/plugins/mda/{name}", marks=pytest.mark.plugins) for name in MDA),
    *(f"pedalboard-builtin:{name}" for name in BUILT_IN),
]


@pytest.fixture(scope="module")
def one_core() -> Iterator[ProcessPool]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with ProcessPool(hosts=1) as pool:
        yield pool
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tracks(tmp_path_factory: pytest.TempPathFactory) -> Tracks:
    """The bundled guitar, three times in a row."""
    folder = tmp_path_factory.mktemp("recordings")
    (folder / "guitar").mkdir()
    for number in range(3):
        audio_files.write(folder / "guitar" / f"{number}.wav", *audio_files.example())
    return Tracks(in_folder(folder), SAMPLE_RATE, folder=folder)


@pytest.mark.parametrize("augmentation", [None, Augmentation()], ids=["as it is", "augmented"])
@pytest.mark.parametrize("address", EFFECTS)
@pytest.mark.benchmark(group="make a pair")
def bench_pair(
    benchmark: BenchmarkFixture, one_core: ProcessPool, tracks: Tracks, address: str, augmentation: Augmentation | None
) -> None:
    data = PairDataset(EffectPath(address, host=one_core), tracks, augmentation=augmentation)
    numbers = itertools.count()
    benchmark.pedantic(lambda: data.pair(next(numbers)), rounds=60, warmup_rounds=3)
    if benchmark.stats is not None:  # benchmarks may be switched off
        benchmark.extra_info["times_real_time"] = 2 * LENGTH / SAMPLE_RATE / benchmark.stats.stats.mean
