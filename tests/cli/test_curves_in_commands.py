"""Settings that move, on the command line: found by `match`, written, and rendered by `render`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from blackbox_grad import Automated, load
from blackbox_grad.audio_files import example, read, write
from tests.command_line import fail_here, succeed_here

HIDDEN = np.array([0.6, 0.75, 0.8, 0.65])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A guitar, dry, and with a gain that moves."""
    folder = tmp_path_factory.mktemp("curves")
    audio, rate = example()
    dry = np.ascontiguousarray(audio[:, :44100])
    with load(Automated("pedalboard-builtin:Gain", 4, seconds=1.0, sample_rate=rate)) as effect:
        wet = effect.render(dry, HIDDEN)
    write(folder / "dry.wav", dry, rate)
    write(folder / "wet.wav", wet, rate)
    return folder


def test_a_curve_is_found_written_and_rendered_again(folder, capsys):
    names = [folder / name for name in ("dry.wav", "wet.wav", "found.json", "found.csv", "found.wav", "report.html")]
    dry, wet, curves, as_table, found, report = names
    options = ("--automate", "gain_db", "--knots", "4", "--renders", "80", "--host", "in-process")
    files = ("--curves", curves, "-o", found, "--report", report)
    said = succeed_here(capsys, "match", "pedalboard-builtin:Gain", dry, wet, *options, *files)
    assert "gain_db" in said
    assert str(curves) in said
    saved = json.loads(curves.read_text())
    assert np.abs(np.array(saved["curves"][0]["normalised"]) - HIDDEN).mean() <= 0.03
    assert "Settings that move" in report.read_text("utf-8")
    succeed_here(capsys, "match", "pedalboard-builtin:Gain", dry, wet, *options, "--curves", as_table)
    for file in (curves, as_table):
        again = folder / "again.wav"
        shown = succeed_here(capsys, "render", "pedalboard-builtin:Gain", dry, again, "--curves", file, "--host", "in-process")
        assert "gain_db" in shown
        assert np.array_equal(read(again)[0], read(found)[0])


@pytest.mark.parametrize(
    ("arguments", "says", "code"),
    [
        (("match", "Gain", "dry.wav", "wet.wav", "--knots", "4"), "--knots is for settings that move", 2),
        (("match", "Gain", "dry.wav", "wet.wav", "--curves", "c.json"), "--curves is for settings that move", 2),
        (("match", "Gain", "dry.wav", "wet.wav", "--automate", "gain_db", "--curves", "c.txt"), "c.txt", 1),
        (("match", "Gain", "dry.wav", "wet.wav", "--automate", "gain_db", "--knots", "1"), "knots=1 must be a whole number", 1),
        (("match", "Gain", "dry.wav", "wet.wav", "--automate", "gain_db", "--knots", "99"), "use at most 44 knots", 1),
        (("match", "Gain", "dry.wav", "wet.wav", "--automate", "Gian"), "no parameter 'Gian'", 1),
        (("render", "Gain", "dry.wav", "out.wav", "--curves", "dry.wav"), "is no text", 1),
        (("render", "Gain", "dry.wav", "out.wav", "--curves", "missing.json"), "missing.json", 1),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments, says, code, folder, capsys):
    given = [str(folder / text) if "." in text else text for text in arguments]
    assert says in " ".join(fail_here(capsys, *given, code=code).split())


def test_a_setting_is_not_set_and_moved_at_once_and_knots_are_no_settings(folder, capsys):
    dry, wet, curves, settings = (folder / name for name in ("dry.wav", "wet.wav", "both.json", "knots.json"))
    options = ("--automate", "gain_db", "--knots", "4", "--renders", "20", "--host", "in-process")
    succeed_here(capsys, "match", "Gain", dry, wet, *options, "--curves", curves, "--parameters", settings)
    said = fail_here(capsys, "render", "Gain", dry, folder / "o.wav", "--curves", curves, "--set", "Gain dB=3dB", code=1)
    assert "moves along a curve of" in said
    said = fail_here(capsys, "render", "Gain", dry, folder / "o.wav", "--parameters", settings, code=1)
    assert "render --curves FILE" in said
    said = fail_here(capsys, "render", "Chorus", dry, folder / "o.wav", "--parameters", settings, code=1)
    assert "holds knots of settings that move" in said
