"""The command line with presets."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from command_line import Capture, fail_here, succeed_here

from blackbox_grad import Notes, audio_files, load

DX10 = "dawdreamer:http://drobilla.net/plugins/mda/DX10"

pytestmark = pytest.mark.plugins


def test_inspect_lists_presets(capsys: Capture, tmp_path: Path) -> None:
    shown = succeed_here(capsys, "inspect", DX10, "--presets", "--host", "in-process")
    assert "Bright E.Piano" in shown
    assert "render one" in shown
    found = json.loads(succeed_here(capsys, "inspect", DX10, "--presets", "--json", "--host", "in-process"))
    assert (len(found["presets"]), found["skipped"]) == (32, [])
    assert found["presets"][0]["settings"]["Coarse"] == pytest.approx(0.842)
    assert "No presets" in succeed_here(capsys, "inspect", DX10, "--presets", "--folder", tmp_path, "--host", "in-process")
    assert "no such folder" in fail_here(capsys, "inspect", DX10, "--folder", tmp_path / "a", "--host", "in-process")


def test_render_takes_the_name_of_a_preset(capsys: Capture, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    succeed_here(
        capsys, "render", DX10, out, "--note", "C4", "--seconds", "0.2", "--preset", "harpsichord", "--host", "in-process"
    )
    sound, _ = audio_files.read(out)
    with load(DX10, parameters="all") as effect:
        expected = effect.render(Notes.one("C4", 0.2), effect.presets().named("Harpsichord").p)
    assert np.allclose(sound, expected, atol=1e-3)
    said = fail_here(capsys, "render", DX10, out, "--note", "C4", "--preset", "harpsi", "--host", "in-process")
    assert "no preset 'harpsi'; did you mean 'Harp" in said


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    audio = np.random.default_rng(0).uniform(-0.3, 0.3, (1, 4410)).astype(np.float32)
    audio_files.write(tmp_path / "in.wav", audio, 44100.0)
    return tmp_path / "in.wav"


def test_render_saves_a_preset_of_what_it_rendered(capsys: Capture, wav: Path, tmp_path: Path) -> None:
    out, saved = tmp_path / "out.wav", tmp_path / "slap.vstpreset"
    host = ["--host", "in-process"]
    set_ = ["--set", "Time=350ms", "--set", "Feedback=0.5 normalised"]
    shown = succeed_here(capsys, "render", "pedalboard:ZamDelay.vst3", wav, out, *set_, "--save-preset", saved, *host)
    assert "slap.vstpreset" in shown
    with load("pedalboard:ZamDelay.vst3", parameters="all", preset=saved) as effect:
        native = effect.parameters.to_native(effect.parameters.defaults)
    assert native["Time"] == pytest.approx(350.0, rel=1e-3)
    again = tmp_path / "again.wav"
    succeed_here(capsys, "render", "pedalboard:ZamDelay.vst3", wav, again, "--preset", saved, *host)
    assert np.allclose(audio_files.read(again)[0], audio_files.read(out)[0], atol=1e-3)


def test_a_preset_that_cannot_be_is_refused_before_the_render(capsys: Capture, wav: Path, tmp_path: Path) -> None:
    out, host = tmp_path / "out.wav", ["--host", "in-process"]
    said = fail_here(capsys, "render", "pedalboard:ZamDelay.vst3", wav, out, "--save-preset", tmp_path / "a.fxp", *host)
    assert "a preset of pedalboard:ZamDelay.vst3 is .vstpreset, not .fxp" in said
    two = "pedalboard:ZamDelay.vst3 | pedalboard-builtin:Reverb"
    said = fail_here(capsys, "render", two, wav, out, "--save-preset", tmp_path / "a.vstpreset", *host)
    assert "name a folder" in said
    assert "1 ZamDelay.vstpreset, 2 Reverb.py" in said
    match = ["match", "pedalboard-builtin:Reverb", wav, wav, "--save-preset", tmp_path / "a.vstpreset", *host]
    assert "a preset of pedalboard-builtin:Reverb is .py" in fail_here(capsys, *match)
    assert {entry.name for entry in tmp_path.iterdir()} == {"in.wav"}


@pytest.mark.parametrize("address", ["pedalboard-builtin:Reverb", "pedalboard-builtin:Reverb | pedalboard-builtin:Delay"])
def test_the_preset_of_an_effect_without_presets_is_refused(capsys: Capture, wav: Path, tmp_path: Path, address: str) -> None:
    said = fail_here(capsys, "render", address, wav, tmp_path / "out.wav", "--preset", "Hall", "--host", "in-process")
    assert "has no presets" in said or "no part of the chain has presets" in said
    assert not (tmp_path / "out.wav").exists()


def test_match_saves_what_it_found(capsys: Capture, wav: Path, tmp_path: Path) -> None:
    target, saved = tmp_path / "target.wav", tmp_path / "found.py"
    gain = "pedalboard-builtin:Gain"
    succeed_here(capsys, "render", gain, wav, target, "--set", "gain_db=-12dB", "--host", "in-process")
    options = ["--renders", "24", "--loss", "l1", "--host", "in-process", "--json", "--save-preset", saved]
    told = json.loads(succeed_here(capsys, "match", gain, wav, target, *options))
    assert told["files"] == [str(saved)]
    (row,) = told["parameters"]
    with load(gain, parameters="all") as effect:
        expected = effect.parameters.to_native([row["normalised"]])["gain_db"]
    assert runpy.run_path(str(saved))["effect"].gain_db == pytest.approx(expected)
