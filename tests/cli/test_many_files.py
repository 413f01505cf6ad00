"""`render` of any number of files, their tails, and how much of the settings."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from command_line import PROGRAM, Capture, fail_here, run_here, succeed_here

from blackbox_grad import audio_files

IN_PROCESS = ("--host", "in-process")


@pytest.fixture
def stems(tmp_path: Path) -> Path:
    """Five recordings of other rates, formats and channel counts."""
    folder = tmp_path / "stems"
    folder.mkdir()
    audio, rate = audio_files.example()
    for i, (wanted, suffix) in enumerate([(44100, "wav"), (16000, "wav"), (48000, "flac"), (22050, "ogg"), (44100, "wav")]):
        part = audio[: 1 + i % 2, i * 30_000 : (i + 1) * 30_000]
        audio_files.write(folder / f"stem {i}.{suffix}", audio_files.resample(part, rate, wanted), wanted)
    return folder


def test_many_files_are_what_each_is_alone(stems: Path, tmp_path: Path, capsys: Capture) -> None:
    sources = sorted(stems.iterdir())
    settings = "pedalboard-builtin:LadderFilter", "--set", "cutoff_hz=1000 Hz", "--set", "resonance=0.4 normalised"
    found = json.loads(succeed_here(capsys, "render", *settings, *sources, "-o", tmp_path / "out", "--hosts", "2", "--json"))
    assert [Path(row["input"]) for row in found["files"]] == sources
    assert {settings["parameters"][1]["native"] for settings in found["settings"]} == {"1000 Hz"}
    assert len(found["settings"]) == 4
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [path.name for path in sources]
    for source in sources:
        alone = tmp_path / f"alone{source.suffix}"
        succeed_here(capsys, "render", *settings, source, alone, *IN_PROCESS)
        np.testing.assert_array_equal(audio_files.read(alone)[0], audio_files.read(tmp_path / "out" / source.name)[0])


def test_a_file_that_fails_stops_no_other(stems: Path, tmp_path: Path, capsys: Capture) -> None:
    (stems / "a text.wav").write_text("no audio")
    command = "render", "pedalboard-builtin:LadderFilter", *sorted(stems.iterdir()), "-o", tmp_path / "out"
    done = run_here(capsys, *command, "--set", "cutoff_hz=9 kHz", "--hosts", "2")
    assert done.returncode == 1
    assert "4 of 6 files" in done.stdout
    errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
    assert len(errors) == 2
    assert "a text.wav: cannot be read" in errors[0]
    assert "stem 1.wav" in errors[1]
    assert "9000 Hz is outside its range 20 to 7200 Hz" in errors[1]
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_an_effect_that_is_not_there_is_said_once(stems: Path, tmp_path: Path, capsys: Capture) -> None:
    fail_here(capsys, "render", "pedalboard-builtin:Revreb", *stems.iterdir(), "-o", tmp_path / "out", *IN_PROCESS)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["stems/stem 0.wav", "stems/stem 1.wav", "-o", "out.wav"], 2, "name a folder"),
        (["stems/stem 0.wav", "stems/stem 1.wav", "o.wav"], 2, "-o"),
        (["stems/stem 0.wav", "other/stem 0.wav", "-o", "out/"], 2, "would both become"),
        (["stems/stem 0.wav", "stems/stem 0.mp3", "-o", "out/"], 2, "would both become"),
        (["stems/stem 0.wav", "stems/stem 1.wav", "-o", "stems"], 1, "is an input"),
        (["stems/stem 0.wav", "stems/stem 1.wav", "-o", "stems/stem 4.wav/"], 1, "is not a folder"),
        (["stems/stem 0.wav", "o.wav", "--tail", "long"], 2, "must be a time"),
        (["stems/stem 0.wav", "o.wav", "--tail", "3 Hz"], 2, "must be a time"),
        (["stems/stem 0.wav", "o.wav", "--amount", "2"], 2, "1.5"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], code: int, message: str, stems: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(stems.parent)
    (stems.parent / "other").mkdir()
    (stems.parent / "other" / "stem 0.wav").write_bytes((stems / "stem 0.wav").read_bytes())
    before = {path: path.read_bytes() for path in stems.iterdir()}
    said = fail_here(capsys, "render", "reference:gain", *arguments, *IN_PROCESS, code=code, COLUMNS="500")
    assert message in said
    assert {path: path.read_bytes() for path in stems.iterdir()} == before


def test_the_tail_of_a_reverb_is_kept(stems: Path, tmp_path: Path, capsys: Capture) -> None:
    source, out = stems / "stem 0.wav", tmp_path / "out.wav"
    reverb = "render", "pedalboard-builtin:Reverb", source, out, *IN_PROCESS
    dry, rate = audio_files.read(source)
    succeed_here(capsys, *reverb)
    short, _ = audio_files.read(out)
    succeed_here(capsys, *reverb, "--tail", "1500ms")
    whole, _ = audio_files.read(out)
    length = dry.shape[1]
    assert short.shape[1] == length
    assert whole.shape[1] == length + round(1.5 * rate)
    np.testing.assert_array_equal(whole[:, :length], short)
    assert np.abs(whole[:, length:]).max() > 1e-3


def test_a_single_file_goes_into_a_folder_too(stems: Path, tmp_path: Path, capsys: Capture) -> None:
    source = stems / "stem 2.flac"
    succeed_here(capsys, "render", "reference:gain", source, "-o", f"{tmp_path}/out/", *IN_PROCESS)
    succeed_here(capsys, "render", "reference:gain", source, "-o", tmp_path / "one.flac", *IN_PROCESS)
    assert (tmp_path / "out" / source.name).read_bytes() == (tmp_path / "one.flac").read_bytes()


def test_ctrl_c_leaves_what_is_finished(stems: Path, tmp_path: Path) -> None:
    audio, rate = audio_files.example()
    many = []
    for i in range(60):
        many.append(tmp_path / f"{i}.wav")
        audio_files.write(many[-1], audio, rate)
    out = tmp_path / "out"
    command = [PROGRAM, "render", "pedalboard-builtin:PitchShift", "--set", "semitones=5 st", *many, "-o", out, "--hosts", "1"]
    running = subprocess.Popen(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until = time.monotonic() + 120
    while not (out.is_dir() and list(out.glob("*.wav"))) and running.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)  # the command has noticed that a file is there
    running.send_signal(signal.SIGINT)
    said, errors = running.communicate(timeout=120)
    assert running.returncode == 130, said + errors
    written = list(out.iterdir())
    assert 0 < len(written) < 60
    assert all(audio_files.read(path)[0].shape == audio.shape for path in written)
    assert f"{len(written)} of 60 files" in said
    assert f"{60 - len(written)} not begun" in said


def test_amount_goes_from_the_input_to_the_settings(stems: Path, tmp_path: Path, capsys: Capture) -> None:
    source = stems / "stem 1.wav"
    command = "render", "pedalboard-builtin:Chorus", source, tmp_path / "o.wav", "--set", "mix=0.8 normalised", *IN_PROCESS
    sounds = {}
    for amount in ("0", "0.5", "1"):
        found = json.loads(succeed_here(capsys, *command, "--amount", amount, "--json"))
        rows = {row["name"]: row["normalised"] for row in found["parameters"]}
        assert rows["mix"] == pytest.approx(0.8 * float(amount)) if amount in "01" else 0.0 < rows["mix"] < 0.8
        assert ("neutral" in found) == (amount != "1")
        sounds[amount] = audio_files.read(tmp_path / "o.wav")[0]
    dry, _ = audio_files.read(source)
    np.testing.assert_allclose(sounds["0"], dry, atol=1e-4)
    half, whole = (np.abs(sounds[amount] - dry).max() for amount in ("0.5", "1"))
    assert 0 < half < whole
    assert "where the effect does nothing (mix moved)" in succeed_here(capsys, *command, "--amount", "0.5")


def test_the_amount_is_the_same_for_files_of_other_rates(stems: Path, tmp_path: Path, capsys: Capture) -> None:
    command = "render", "pedalboard-builtin:PeakFilter", *sorted(stems.iterdir()), "-o", tmp_path / "out", "--hosts", "2"
    settings = "--set", "gain_db=12dB", "--set", "cutoff_frequency_hz=2kHz", "--amount", "0.5", "--json"
    found = json.loads(succeed_here(capsys, *command, *settings))
    assert {row["native"] for s in found["settings"] for row in s["parameters"][:1]} == {"2000 Hz"}
    (gain,) = {round(row["value"], 4) for s in found["settings"] for row in s["parameters"][1:2]}
    assert gain == pytest.approx(6.0, abs=0.3)
    assert found["neutral"] == {"kind": "nothing", "moved": ["gain_db"]}
