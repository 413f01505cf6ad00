"""Pairs: each is a function of the seed and its number, exact, audible, and made of two different halves."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from blackbox_grad import DifferentiableEffect
from blackbox_grad.errors import AudioError, ParameterError, RenderError
from blackbox_grad_adapters.style_matching.data.pairs import PairDataset
from blackbox_grad_adapters.style_matching.data.recordings import Tracks, in_folder
from blackbox_grad_adapters.style_matching.data.rejection import SIMILARITY, silent, similarity
from blackbox_grad_adapters.style_matching.effect_path import PEAK, EffectPath

GAIN, REVERB, DELAY = (f"pedalboard-builtin:{name}" for name in ("Gain", "Reverb", "Delay"))
LENGTH = 8192


@pytest.fixture(scope="module")
def reverb():
    return EffectPath(REVERB)


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in ("input", "reference", "truth", "p", "clean"))


def test_takes_share_an_excerpt_and_depend_on_their_number_only(reverb, tracks):
    data = PairDataset(reverb, tracks, length=4096, seed=3, clean=0.0, takes=3)
    pairs = [data.pair(i) for i in range(7)]
    shared = [torch.equal(a["input"], b["input"]) for a, b in itertools.pairwise(pairs)]
    assert shared == [True, True, False, True, True, False]
    assert len({tuple(pair["p"].tolist()) for pair in pairs}) == 7
    other = PairDataset(reverb, tracks, length=4096, seed=3, clean=0.0, takes=3)
    for i in (5, 0, 4):  # in any order
        again = other.pair(i)
        assert same(again, pairs[i])
        assert torch.equal(reverb(again["input"][None], again["p"][None])[0], again["truth"])


def test_a_pair_is_a_function_of_the_seed_and_its_number(reverb, tracks):
    data, again = (PairDataset(reverb, tracks, length=LENGTH, seed=3) for _ in range(2))
    pairs = [data.pair(i) for i in range(6)]
    assert all(same(again.pair(i), pairs[i]) for i in reversed(range(6)))
    assert not any(same(pairs[0], pair) for pair in pairs[1:])
    assert not same(PairDataset(reverb, tracks, length=LENGTH, seed=4).pair(0), pairs[0])


@pytest.mark.parametrize(("workers", "start"), [(1, "fork"), (2, "fork"), (1, "spawn")])
def test_workers_make_the_same_pairs_with_hosts_of_their_own(reverb, tracks, workers, start):
    data = PairDataset(reverb, tracks, length=LENGTH, count=6)
    here = sorted(pair["truth"].numpy().tobytes() for pair in data)
    renders = reverb.effect.host.renders
    loader = DataLoader(data, batch_size=3, num_workers=workers, timeout=240, multiprocessing_context=start)
    batches = list(loader)
    assert sorted(truth.numpy().tobytes() for batch in batches for truth in batch["truth"]) == here
    assert batches[0]["clean"].dtype == torch.bool
    assert reverb.effect.host.renders == renders


@pytest.mark.parametrize(("rate", "channels", "length"), [(16_000, 1, 5000), (44_100, 2, 12_345)])
def test_any_rate_length_and_number_of_channels(recordings, tmp_path, rate, channels, length):
    path = EffectPath(REVERB, rate)
    tracks = Tracks(in_folder(recordings), rate, channels, folder=tmp_path)
    pair = PairDataset(path, tracks, length=length, clean=0.0).pair(0)
    assert {pair[name].shape for name in ("input", "reference", "truth")} == {(channels, length)}
    for name in ("input", "reference", "truth"):
        assert pair[name].abs().max().item() == pytest.approx(PEAK, rel=1e-5)
    assert torch.equal(path(pair["input"][None], pair["p"][None])[0], pair["truth"])


def test_the_reference_is_the_other_half_through_the_same_settings(reverb, tracks):
    """Both orders of the halves occur; found by undoing the path on the track."""
    data = PairDataset(reverb, tracks, length=LENGTH, clean=0.0, augmentation=None)
    orders = set()
    for i in range(8):
        pair = data.pair(i)
        half = pair["input"][0].numpy()
        for track in tracks:
            windows = np.lib.stride_tricks.sliding_window_view(track[0], 256)
            at = np.argmax(windows @ half[:256] / (np.linalg.norm(windows, axis=1) + 1e-9))
            scale = np.linalg.norm(half) / (np.linalg.norm(track[0, at : at + LENGTH]) + 1e-9)
            if track[0, at:].size < LENGTH or not np.allclose(scale * track[0, at : at + LENGTH], half, atol=1e-5):
                continue
            for order, start in (("after", at + LENGTH), ("before", at - LENGTH)):
                other = track[:, max(start, 0) : start + LENGTH]
                if other.shape[1] == LENGTH:
                    expected = reverb(torch.tensor(other)[None], pair["p"][None])[0]
                    if torch.allclose(expected, pair["reference"], atol=1e-5):
                        orders.add(order)
    assert orders == {"after", "before"}


def test_a_share_of_the_pairs_is_clean(reverb, tracks):
    data = PairDataset(reverb, tracks, length=2048, clean=0.3, augmentation=None)
    pairs = [data.pair(i) for i in range(100)]
    clean = [pair for pair in pairs if pair["clean"]]
    assert 18 <= len(clean) <= 42
    for pair in clean:
        assert torch.equal(pair["truth"], reverb.dry(pair["input"][None])[0])
    for pair in pairs:
        if not pair["clean"]:
            assert torch.equal(pair["truth"], reverb(pair["input"][None], pair["p"][None])[0])
    settings = torch.stack([pair["p"] for pair in pairs if not pair["clean"]])
    assert (settings.min(dim=0).values < 0.1).all()
    assert (settings.max(dim=0).values > 0.9).all()


def test_settings_that_silence_the_recording_are_drawn_again(tracks):
    path = EffectPath(GAIN)
    data = PairDataset(path, tracks, length=LENGTH, clean=0.0, augmentation=None)
    pairs = [data.pair(i) for i in range(20)]
    for pair in pairs:
        assert not silent(path.render(pair["input"][None], pair["p"][None])).any()
    uniform = np.random.default_rng(0).uniform(size=20)
    assert min(pair["p"].item() for pair in pairs) > uniform.min()


def test_settings_that_leave_only_noise_are_drawn_again(tracks):
    path = EffectPath('faust:import("stdfaust.lib"); a = hslider("noise", 0.5, 0, 1, 0.01); process = *(1 - a) + a * no.noise;')
    data = PairDataset(path, tracks, length=LENGTH, clean=0.0, augmentation=None)
    for i in range(20):
        pair = data.pair(i)
        assert similarity(path.dry(pair["input"][None]), pair["truth"][None], path.sample_rate) >= SIMILARITY
        assert pair["p"].item() < 0.9
    with pytest.raises(RenderError, match="20 excerpts became silence or noise"):
        PairDataset(path, tracks, length=LENGTH, clean=0.0, settings=[1.0], augmentation=None).pair(0)


@pytest.mark.parametrize("given", [{"gain_db": "-60 dB"}, [0.0]])
def test_fixed_settings_that_only_silence_are_refused(tracks, given):
    data = PairDataset(EffectPath(GAIN), tracks, length=LENGTH, settings=given, clean=0.0, augmentation=None)
    with pytest.raises(RenderError, match="Gain: 20 excerpts became silence or noise at the settings asked for"):
        data.pair(0)


def test_fixed_settings_are_those_of_all_pairs(tracks):
    path = EffectPath(DELAY)
    by_name = PairDataset(path, tracks, length=LENGTH, settings={"mix": 0.25, "delay_seconds": "20 ms"}, clean=0.0)
    point = path.effect.parameter_space.point({"mix": 0.25, "delay_seconds": "20 ms"})
    by_number = PairDataset(path, tracks, length=LENGTH, settings=point.tolist(), clean=0.0)
    for i in range(2):
        assert by_name.pair(i)["p"].tolist() == pytest.approx(point.tolist())
        assert same(by_name.pair(i), by_number.pair(i))
    with pytest.raises(ParameterError, match="no parameter 'mxi'"):
        PairDataset(path, tracks, settings={"mxi": 0.25})
    with pytest.raises(ParameterError, match="settings='fixed' is unknown; allowed are 'random'"):
        PairDataset(path, tracks, settings="fixed")


def test_stepped_settings_lie_on_their_levels(tracks):
    path = EffectPath(REVERB, parameters=["freeze_mode", "damping"])
    data = PairDataset(path, tracks, length=LENGTH, clean=0.0, augmentation=None)
    assert {data.pair(i)["p"][0].item() for i in range(8)} <= {0.0, 1.0}


@pytest.mark.parametrize("on_nonfinite", ["silence", "raise"])
def test_settings_at_which_an_effect_returns_nan_are_drawn_again(tracks, on_nonfinite):
    layer = DifferentiableEffect(
        'faust:process = *(sqrt(hslider("level", 0.5, 0, 1, 0.001) - 0.5));', 24_000, on_nonfinite=on_nonfinite
    )
    data = PairDataset(EffectPath(layer), tracks, length=LENGTH, clean=0.0, augmentation=None)
    pairs = [data.pair(i) for i in range(10)]
    assert layer.nonfinite > 0
    assert min(pair["p"].item() for pair in pairs) > 0.5
    assert all(torch.isfinite(pair["truth"]).all() for pair in pairs)


def test_a_dataset_travels_to_another_process(reverb, tracks):
    data = PairDataset(reverb, tracks, length=LENGTH)
    assert same(pickle.loads(pickle.dumps(data)).pair(1), data.pair(1))


def test_what_does_not_fit_is_refused(reverb, tracks):
    with pytest.raises(AudioError, match=r"recordings are at 24000 Hz and pedalboard-builtin:Reverb works at 16000 Hz"):
        PairDataset(EffectPath(REVERB, 16_000), tracks)
    with pytest.raises(AudioError, match=r"clean=2 lie in \[0, 1\]"):
        PairDataset(reverb, tracks, clean=2)
    with pytest.raises(AudioError, match="no recording is as long as an excerpt"):
        PairDataset(reverb, tracks, length=1_000_000).pair(0)
