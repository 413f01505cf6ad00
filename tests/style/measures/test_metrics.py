"""Metrics against known truths: 0 for equal recordings, and known errors for changed ones."""

from __future__ import annotations

import math
import sys
import warnings

import auraloss
import pytest
import torch

from blackbox_grad import audio_files
from blackbox_grad_adapters.style_matching.measures import metrics
from blackbox_grad_adapters.style_matching.measures.metrics import METRICS, measured
from blackbox_grad_adapters.style_matching.measures.spectral import SIZES

RATE = 24_000
ERRORS = [
    name for name, metric in METRICS.items() if metric.error and name != "cdpam"
]  # which is slow, and left out by default


@pytest.fixture(scope="module")
def truth():
    """`[1, 65536]` of the bundled guitar."""
    audio, rate = audio_files.example()
    return torch.from_numpy(audio_files.resample(audio[:1], rate, RATE)[:, :65_536].copy())


def of(y, truth, speech=False):
    (row,) = measured(y[None], truth, RATE, speech=speech)
    return row


def test_equal_recordings_have_no_error(truth):
    row = of(truth, truth)
    assert set(row) == set(METRICS)
    assert all(row[name] == pytest.approx(0.0, abs=1e-4) for name in ERRORS)
    assert row["si_sdr"] == 60.0
    assert math.isnan(row["pesq"])


def test_mrstft_is_auralosses_at_all_six_sizes(truth):
    """With the largest window, 32768, in an excerpt of 65536."""
    y = torch.tanh(4 * truth)
    hops = [size // 2 for size in SIZES]
    for name, linear in (("mrstft", 1.0), ("log_mrstft", 0.0)):
        loss = auraloss.freq.MultiResolutionSTFTLoss(SIZES, hops, SIZES, w_sc=0.0, w_log_mag=1.0, w_lin_mag=linear, w_phs=0.0)
        assert of(y, truth)[name] == pytest.approx(loss(y[None], truth[None]).item(), rel=1e-4)
    assert max(SIZES) == 32768


def test_half_as_loud_is_6_decibels_of_level_and_of_loudness_and_nothing_else(truth):
    row, six = of(truth / 2, truth), 20 * math.log10(2)
    assert row["rms"] == pytest.approx(six, abs=1e-3)
    assert row["lufs"] == pytest.approx(six, abs=0.05)  # what is gated may differ
    assert row["crest"] == pytest.approx(0.0, abs=1e-3)
    assert row["mel"] == pytest.approx(six, rel=0.15)  # but where a band is empty
    assert row["si_sdr"] == 60.0


def test_noise_of_a_tenth_of_the_level_is_20_decibels_of_distortion(truth):
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(truth.shape, generator=generator)
    y = truth + 0.1 * noise * truth.square().mean().sqrt()
    assert of(y, truth)["si_sdr"] == pytest.approx(20.0, abs=0.1)


def test_the_centroids_of_two_tones_are_as_far_apart_as_they():
    time = torch.arange(65_536) / RATE
    low, high = (0.2 * torch.sin(2 * math.pi * f * time)[None] for f in (1000.0, 1500.0))
    assert of(high, low)["centroid"] == pytest.approx(500.0, rel=0.03)


def test_a_square_wave_has_3_decibels_less_crest_than_a_sine():
    sine = 0.2 * torch.sin(2 * math.pi * 100 * torch.arange(65_536) / RATE)[None]
    assert of(0.2 * sine.sign(), sine)["crest"] == pytest.approx(20 * math.log10(math.sqrt(2)), abs=0.02)


def test_many_are_measured_as_one_by_one(truth):
    y = torch.stack([truth, torch.tanh(4 * truth), truth.flip(1)])
    for row, audio in zip(measured(y, truth, RATE, speech=False), y, strict=True):
        assert row == pytest.approx(of(audio, truth), nan_ok=True, rel=1e-4, abs=1e-4)


@pytest.mark.filterwarnings("ignore:.*is a pickle")
def test_cdpam_judges_what_it_is_asked_for(truth):
    y = torch.stack([truth, torch.tanh(20 * truth)])[:, :, 20_000:23_600]
    rows = measured(y, truth[:, 20_000:23_600], RATE, speech=False, by_cdpam=[False, True])
    assert math.isnan(rows[0]["cdpam"])
    assert rows[1]["cdpam"] > 0


def test_silence_has_finite_errors_and_no_quality(truth):
    row = of(torch.zeros_like(truth), truth, speech=True)
    assert all(math.isfinite(row[name]) for name in METRICS if name not in ("pesq", "cdpam"))
    assert math.isnan(row["pesq"])


def test_stereo_and_short_audio_are_measured(truth):
    y = torch.cat([truth, truth])[:, :8000]
    row = of(y, y.flip(1))
    assert row["mrstft"] > 0
    assert math.isnan(row["lufs"])  # shorter than a block of BS.1770
    assert row["rms"] == pytest.approx(0.0, abs=1e-4)


def test_pesq_falls_with_distortion(truth):
    pytest.importorskip("pesq")
    found = [of(y, truth, speech=True)["pesq"] for y in (truth, torch.tanh(8 * truth), torch.tanh(80 * truth))]
    assert found[0] == pytest.approx(4.644, abs=0.001)  # the best there is
    assert found[0] > found[1] > found[2] > 1.0


def test_pesq_of_what_is_too_short_for_an_utterance_is_not_a_number(truth):
    pytest.importorskip("pesq")
    assert math.isnan(of(truth[:, :3000], truth[:, :3000], speech=True)["pesq"])


def test_without_its_library_pesq_is_left_out_with_one_warning(truth, monkeypatch):
    monkeypatch.setitem(sys.modules, "pesq", None)
    metrics.pesq_library.cache_clear()
    try:
        with pytest.warns(UserWarning, match=r"PESQ is left out: .*pip install .*\[pesq\]'.*C compiler"):
            assert math.isnan(of(truth, truth, speech=True)["pesq"])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert math.isnan(of(truth, truth, speech=True)["pesq"])
    finally:
        metrics.pesq_library.cache_clear()
