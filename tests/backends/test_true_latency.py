"""A reported latency that a plug-in does not have is not taken out."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox_grad import load
from blackbox_grad_backends.native import lv2_bundles
from blackbox_grad_backends.native.latency import true_latency


def delayed(samples: int):
    return lambda audio: np.pad(audio, ((0, 0), (samples, 0)))[:, : audio.shape[1]]


@pytest.mark.parametrize("reported", [1, 3, 64, 1024, 20000])
def test_a_true_report_stands(reported):
    assert true_latency(delayed(reported), 2, reported) == reported


@pytest.mark.parametrize(("true", "reported"), [(0, 3), (0, 1024), (512, 256), (100, 1000), (0, 20000)])
def test_a_wrong_report_gives_way_to_the_measurement(true, reported):
    assert true_latency(delayed(true), 1, reported) == true


@pytest.mark.parametrize("seed", range(1, 6))  # 0 is that of the noise
def test_what_does_not_resemble_its_input_is_believed(seed):
    rng = np.random.default_rng(seed)
    assert true_latency(lambda audio: rng.standard_normal(audio.shape).astype(np.float32), 2, 100) == 100


def test_silence_is_believed():
    assert true_latency(np.zeros_like, 2, 100) == 100


def test_none_reported_is_none():
    assert true_latency(delayed(7), 1, 0) == 0


@pytest.mark.parametrize("name", ["dj_eq", "dj_eq_mono"])
def test_dj_eq_reports_three_samples_that_it_does_not_have(name):
    uri = f"http://plugin.org.uk/swh-plugins/{name}"
    if lv2_bundles.description(uri) is None:
        pytest.skip("swh-lv2 is not installed")
    with load(f"dawdreamer:{uri}") as effect:
        assert effect.latency == 0
        assert effect.notes == ("its latency is 0 samples, not 3 as it reports",)
        impulse = np.zeros((1, 500), np.float32)
        impulse[0, 100] = 1.0
        assert int(np.abs(effect.render(impulse, effect.parameters.defaults)).argmax()) == 100
        with load(effect.spec) as twin:
            assert (twin.latency, twin.notes) == (0, effect.notes)
