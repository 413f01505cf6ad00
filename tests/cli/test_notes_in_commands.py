"""The command line with instruments."""

from __future__ import annotations

import json
from pathlib import Path

import mido
import numpy as np
import pytest
from command_line import Capture, fail_here, succeed_here

from blackbox_grad import EffectSpec, Notes, audio_files, load

DX10 = "dawdreamer:http://drobilla.net/plugins/mda/DX10"

pytestmark = pytest.mark.plugins


@pytest.fixture
def riff(tmp_path: Path) -> Path:
    notes = [mido.Message("note_on", note=57, velocity=90), mido.Message("note_off", note=57, time=240)]
    mido.MidiFile(tracks=[mido.MidiTrack(notes)]).save(tmp_path / "riff.mid")
    return tmp_path / "riff.mid"


def test_render_plays_a_file_or_a_note(riff: Path, tmp_path: Path, capsys: Capture) -> None:
    succeed_here(capsys, "render", DX10, riff, tmp_path / "out.wav", "--host", "in-process")
    played, rate = audio_files.read(tmp_path / "out.wav")
    with load(DX10) as dx10:
        expected = dx10.render(Notes.from_midi(riff), dx10.parameters.defaults)
    assert (rate, played.shape) == (44100.0, (2, round(44100 * 1.25)))
    assert np.allclose(played, expected, atol=1e-3)
    one = ["--note", "A3", "--seconds", "0.5", "--sample-rate", "22050", "--set", "Attack=0.2 normalised", "--json"]
    said = json.loads(succeed_here(capsys, "render", DX10, tmp_path / "one.wav", *one, "--host", "in-process"))
    assert (said["input"], said["seconds"], said["sample_rate"], said["channels"]) == ("the note A3", 1.5, 22050.0, 2)


def test_the_amount_of_a_patch_begins_at_the_defaults(tmp_path: Path, capsys: Capture) -> None:
    note = ["--note", "A3", "--seconds", "0.3", "--set", "Waveform=0.9 normalised", "--json", "--host", "in-process"]
    levels = []
    for amount in ("0", "0.5", "1"):
        said = json.loads(succeed_here(capsys, "render", DX10, tmp_path / "o.wav", *note, "--amount", amount))
        levels.append(next(row["normalised"] for row in said["parameters"] if row["name"] == "Waveform"))
        assert said.get("neutral") == (None if amount == "1" else {"kind": "defaults", "moved": ["Waveform"]})
    with load(DX10) as dx10:
        assert levels[0] == pytest.approx(dx10.parameters.point()[dx10.parameters.names.index("Waveform")])
    assert levels[0] < levels[1] < levels[2] == pytest.approx(0.9)


def test_match_takes_a_file_or_a_note(riff: Path, tmp_path: Path, capsys: Capture) -> None:
    files = [tmp_path / name for name in ("riff.wav", "one.wav")]
    for target, played in zip(files, ([riff], ["--note", "A2", "--seconds", "0.2"]), strict=True):
        places = [riff, target] if played == [riff] else [target, *played]
        succeed_here(capsys, "render", DX10, *places, "--set", "Octave=0.2 normalised", "--host", "in-process")
    few = ["--only", "Octave", "--renders", "30", "--host", "in-process", "--json"]
    for target, played in zip(files, (["--notes", riff], ["--note", "A2", "--seconds", "0.2"]), strict=True):
        matched = json.loads(succeed_here(capsys, "match", DX10, *played, target, *few, "-o", tmp_path / "match.wav"))
        assert matched["loss_name"] == "tones"
        assert matched["loss"] < 0.01 * matched["loss_start"]
        assert audio_files.read(tmp_path / "match.wav")[0].shape == audio_files.read(target)[0].shape


def test_inspect_shows_what_goes_in_and_how_to_render_it(capsys: Capture) -> None:
    shown = succeed_here(capsys, "inspect", DX10, "--host", "in-process")
    assert "notes in, 2 out" in shown
    assert f"blackbox-grad render {DX10} in.mid out.wav --set Coarse=" in shown


def test_what_does_not_go_together_is_said(riff: Path, tmp_path: Path, capsys: Capture) -> None:
    wav, other, out = (tmp_path / name for name in ("in.wav", "other.wav", "out.wav"))
    for path in (wav, other):
        noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 8192)).astype(np.float32)
        audio_files.write(path, noise, 44100.0)
    (tmp_path / "text.mid").write_text("no notes")

    def said(*arguments: object, code: int = 1) -> str:
        return fail_here(capsys, *map(str, arguments), "--host", "in-process", code=code)

    assert "DX10 is an instrument: give it a MIDI file in place of" in said("render", DX10, wav, out)
    assert "reference:gain is an effect: give it an audio file, not the notes of" in said("render", "reference:gain", riff, out)
    assert "text.mid is no MIDI file, or is damaged" in said("render", DX10, tmp_path / "text.mid", out)
    assert "pitch='H4' is no note" in said("render", DX10, out, "--note", "H4")
    assert "DX10 is an instrument: give match the notes" in said("match", DX10, wav, other, "--renders", "50")
    assert "reference:gain is an effect: give match the recording" in said("match", "reference:gain", wav, "--note", "C3")
    assert "--notes and --note stand in the place of INPUT" in said("match", DX10, wav, "--note", "C3", "--input", wav, code=2)
    assert "--notes and --note both say what is played" in said("match", DX10, wav, "--note", "C3", "--notes", riff, code=2)
    boxed = said("match", DX10, wav, other, "--note", "C3", code=2)
    assert "one too many; write EFFECT TARGET" in " ".join(boxed.replace("│", " ").split())
    assert "--note stands in the place of IN" in said("render", DX10, riff, out, "--note", "C4", code=2)
    boxed = said("render", DX10, out, "--notes", riff, code=2)
    assert "without audio, write EFFECT riff.mid OUT" in " ".join(boxed.replace("│", " ").split())
    assert "--sample-rate is for notes" in said("render", "reference:gain", wav, out, "--sample-rate", "8000", code=2)
    assert not out.exists()


@pytest.mark.slow
def test_a_deep_inspection_measures_an_instrument(capsys: Capture) -> None:
    limits = ["--time-limit", "20", "--renders", "600", "--again", "--json", "--host", "in-process"]
    found = json.loads(succeed_here(capsys, "inspect", DX10, "--deep", *limits))
    assert found["measured_latency"] is None
    assert found["repeatability"] == 0.0


def test_instruments_are_listed_and_found_by_name(capsys: Capture) -> None:
    rows = json.loads(succeed_here(capsys, "effects", "instrument", "--json", "--backend", "dawdreamer"))
    assert {(row["address"], row["takes"]) for row in rows} >= {(DX10, "notes")}
    assert "Overdrive" not in "".join(row["address"] for row in rows)
    shown = succeed_here(capsys, "effects", "dx10", "--backend", "dawdreamer")
    assert "1 instrument with 'dx10' in name" in shown
    assert shown.splitlines()[2].split() == [DX10, "MDA", "DX10", "instrument"]
    assert EffectSpec.of("dx10").address == DX10


def test_numbers_out_of_range_are_named(tmp_path: Path, capsys: Capture) -> None:
    wav = tmp_path / "in.wav"
    audio_files.write(wav, np.zeros((1, 64), np.float32), 44100.0)
    assert "'0' must be at least 8" in fail_here(capsys, "match", "reference:gain", wav, wav, "--renders", "0", code=2)
    arguments = ["pedalboard-builtin:LadderFilter", wav, tmp_path / "out.wav", "--set", "mode=9", "--host", "in-process"]
    assert "'mode': 9 is none of its settings; write one of LPF12, " in fail_here(capsys, "render", *arguments)
