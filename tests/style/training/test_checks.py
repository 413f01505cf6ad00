"""Before the first render everything is checked, and all that is missing is said at once, with the time that the run will take."""

from __future__ import annotations

import re
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from blackbox_grad import audio_files
from blackbox_grad_adapters.style_matching.commands import app
from blackbox_grad_adapters.style_matching.data.shards import PairShards
from blackbox_grad_adapters.style_matching.data.sides import OneGroupWarning, decode, find
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.training import audibility, checks, room, run
from blackbox_grad_adapters.style_matching.training.controller_training import Plan
from blackbox_grad_adapters.style_matching.training.features import HeardPairs
from blackbox_grad_adapters.style_matching.training.presets import PRESETS, planned

REVERB = "pedalboard-builtin:Reverb"
RATE = 24_000
PLAN = Plan(pairs=64, sounds=64, judged=16)

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(scope="module")
def audio():
    """20 s of the guitar, played on at other speeds."""
    guitar, rate = audio_files.example()
    parts = [audio_files.resample(guitar[:1], rate * speed, RATE) for speed in (1.0, 0.9, 1.1, 0.85)]
    return np.concatenate(parts, axis=1)[:, : 20 * RATE]


@pytest.fixture
def recording(tmp_path, audio):
    audio_files.write(tmp_path / "guitar.flac", audio, RATE)
    return tmp_path / "guitar.flac"


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def problems(effect, folder, places, plan=PLAN, **options):
    with pytest.raises(checks.NotReadyError) as caught:
        checks.controller_ready(effect, folder, places, plan, host="in-process", **options)
    return list(caught.value.problems)


def test_all_that_is_missing_is_said_at_once(tmp_path):
    (tmp_path / "file").touch()
    none = tmp_path / "none.safetensors"
    found = problems("pedalboard-builtin:Invert", tmp_path / "file" / "run", [tmp_path / "nowhere"], encoder=none)
    for cause in (
        "none.safetensors: no such file",
        "no continuous parameter",
        "file is not a folder",
        "nowhere: no such folder",
    ):
        assert sum(cause in problem for problem in found) == 1, found
    assert len(found) == 4


@pytest.mark.parametrize(
    ("effect", "options", "message"),
    [
        ("pedalboard-builtin:Nothing", {}, "Nothing"),
        ("pedalboard-builtin:Invert", {}, "no continuous parameter to learn; choose some with --only"),
        (REVERB, {"settings": {"size": 1.0}}, "'size'"),
        ("pedalboard-builtin:Gain", {}, "none of its free parameters (gain_db) is heard"),
        pytest.param("dawdreamer:http://drobilla.net/plugins/mda/DX10", {}, "is an instrument", marks=pytest.mark.plugins),
    ],
)
@pytest.mark.filterwarnings("ignore::blackbox_grad_adapters.style_matching.data.sides.OneGroupWarning")
def test_an_effect_that_a_network_cannot_set_is_named(tmp_path, recording, effect, options, message):
    (found,) = problems(effect, tmp_path / "run", [recording], **options)
    assert message in found
    assert not (tmp_path / "run").exists()


def test_a_disk_without_room_says_how_much_it_takes(tmp_path, recording, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1e12, 1e12 - 2e8, 2e8))
    (found,) = problems(REVERB, tmp_path / "run", [recording], planned("standard"))
    assert re.search(
        r"takes 0\.\d GB on the disk of .*, and 0\.2 GB are free; make room, take fewer pairs \(--pairs N\)", found
    )


@pytest.mark.filterwarnings("ignore::blackbox_grad_adapters.style_matching.data.sides.OneGroupWarning")
def test_pairs_take_what_was_said_on_disk(tmp_path, recording):
    encoder = Encoder(length=22_528, latent=8)
    path = EffectPath(REVERB, host="in-process")
    data, _ = run.pairs_of(path, run.sides([recording], excerpt=45_056), encoder.length, "random", 0, run.CONTROLLERS)
    for pairs, size in ((HeardPairs(data, encoder), checks._features(encoder)), (data, 12 * encoder.length)):
        PairShards(pairs, 1, tmp_path / "pairs").build(0)
        (file,) = (tmp_path / "pairs").rglob("*.safetensors")
        assert file.stat().st_size == pytest.approx(64 * size, rel=0.05)
        file.unlink()


def test_flags_in_messages_exist():
    modules = (checks, room, audibility, run.data_sides)
    named = {flag for module in modules for flag in re.findall(r"--[a-z][a-z-]+", Path(module.__file__).read_text("utf-8"))}
    assert named
    help_text = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"}).output
    assert named <= set(re.findall(r"--[a-z][a-z-]+", help_text))


def test_the_command_says_all_of_it_and_exits(tmp_path):
    done = CliRunner().invoke(
        app, ["train", "pedalboard-builtin:Invert", "-o", str(tmp_path / "run"), "--recordings", "nowhere"]
    )
    assert done.exit_code == 1
    assert "2 things are missing" in done.stderr
    assert "nowhere: no such folder" in done.stderr
    assert "no continuous parameter" in done.stderr


def test_a_recording_is_split_in_time_with_a_gap(recording, audio):
    excerpt = 2 * 65_536
    with pytest.warns(OneGroupWarning, match=r"the training has 13 s of them.*validation the last 6 s.*others is not measured"):
        train, validation = decode(find([recording], excerpt / RATE), RATE, excerpt)
    np.testing.assert_allclose(train[0], audio[:, : train.lengths[0]], atol=1e-4)
    np.testing.assert_allclose(validation[0], audio[:, -validation.lengths[0] :], atol=1e-4)
    assert train.lengths[0] + validation.lengths[0] == audio.shape[1] - RATE
    assert min(train.lengths[0], validation.lengths[0]) >= excerpt
    assert train.key != validation.key


@pytest.mark.parametrize("seconds", [11.0, 14.5, 60.0])
def test_both_sides_of_a_split_in_time_have_an_excerpt(tmp_path, audio, seconds):
    audio_files.write(tmp_path / "cut.wav", np.tile(audio, 3)[:, : round(seconds * RATE)], RATE)
    with pytest.warns(OneGroupWarning):
        sides = decode(find([tmp_path / "cut.wav"], 5.0), RATE, 5 * RATE)
    assert all(max(side.lengths) >= 5 * RATE for side in sides)


@pytest.mark.parametrize(
    ("seconds", "message"),
    [
        (8, r"one recording of 8\.0 s is too short .* 11\.9 s, two excerpts of 5\.5 s and a gap of 1 s"),
        (3, r"as long as an excerpt, 5\.5 s: the longest of 1 has 3\.0 s"),
    ],
)
def test_a_recording_that_is_too_short_says_how_long_it_must_be(tmp_path, audio, seconds, message):
    audio_files.write(tmp_path / "short.wav", audio[:, : seconds * RATE], RATE)
    (found,) = problems(REVERB, tmp_path / "run", [tmp_path / "short.wav"])
    assert re.search(message, found)


def test_groups_without_an_excerpt_are_left_out_with_their_names(tmp_path, audio):
    (tmp_path / "music").mkdir()
    for name, seconds in (("long", 9), ("other", 7), ("tiny", 2)):
        audio_files.write(tmp_path / "music" / f"{name}.wav", audio[:, : seconds * RATE], RATE)
    found = find([tmp_path / "music"], 5.5)
    assert {r.group for r in found.train} | {r.group for r in found.validation} == {"long", "other"}
    with pytest.warns(UserWarning, match=r"left out.* 5\.5 s: tiny"):
        decode(found, RATE, round(5.5 * RATE))


@pytest.mark.filterwarnings("ignore::blackbox_grad_adapters.style_matching.data.sides.OneGroupWarning")
def test_silence_is_no_recording(tmp_path):
    audio_files.write(tmp_path / "silent.wav", np.zeros((1, 20 * RATE), np.float32), RATE)
    (found,) = problems(REVERB, tmp_path / "run", [tmp_path / "silent.wav"])
    assert "quieter than -40 dBFS" in found


@pytest.mark.filterwarnings("ignore::blackbox_grad_adapters.style_matching.data.sides.OneGroupWarning")
def test_time_is_measured_and_parameters_without_sound_are_named(tmp_path, recording):
    chain = f"pedalboard-builtin:Gain | {REVERB}"
    ready = checks.controller_ready(chain, tmp_path / "run", [recording], PLAN, host="in-process")
    expected = [
        "pairs to learn from",
        "pairs to validate on",
        "sounds to validate on",
        "settings",
        "sounds to learn from",
        "audio",
    ]
    assert [phase.name for phase in ready.phases] == expected
    assert all(phase.seconds > 0 for phase in ready.phases)
    (unheard,) = ready.unheard.values()
    assert [name for name in unheard if "gain" in name] == unheard != []  # the level is taken out
    assert not (tmp_path / "run").exists()


def test_presets_take_more_and_more():
    sizes = [(plan.pairs, plan.sounds, plan.audio_epochs * plan.audio_steps) for plan in PRESETS.values()]
    assert sizes == sorted(sizes)
    assert planned("quick", pairs=100, seed=None) == planned("quick", pairs=100)
    assert planned("quick", pairs=100).pairs == 100
