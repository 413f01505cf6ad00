"""Ctrl-C and SIGTERM in the commands of style matching: the best so far is kept until the files are there."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from blackbox_grad import audio_files
from blackbox_grad.cli import main
from blackbox_grad_adapters.style_matching.commands import evaluate, training_work
from blackbox_grad_adapters.style_matching.evaluation.results import results
from blackbox_grad_adapters.style_matching.matching import refinement
from blackbox_grad_adapters.style_matching.networks.controller import Controller
from blackbox_grad_adapters.style_matching.training import presets

DRIVE = "pedalboard-builtin:Distortion"
INTERRUPT, TERMINATE = (signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")


def pressing(monkeypatch, owner, name, number, when):
    """Sends the signal after the call of `owner.name` for whose arguments `when` is true."""
    usual = getattr(owner, name)

    def replaced(*arguments):
        done = usual(*arguments)
        if when(*arguments):
            os.kill(os.getpid(), number)
        return done

    monkeypatch.setattr(owner, name, replaced)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in a folder with two recordings. Returns its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    audio, rate = audio_files.example()
    (tmp_path / "music").mkdir()
    for name in ("in", "ref"):
        audio_files.write(f"{name}.wav", audio[:1, : int(2 * rate)], rate)
    for name in ("a", "b"):
        audio_files.write(f"music/{name}.wav", np.tile(audio[:1], 2), rate)

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            main(["style", *map(str, arguments)])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize(("number", "name"), [pytest.param(*INTERRUPT, marks=pytest.mark.slow), TERMINATE])
def test_a_refinement_is_ended_with_the_best_so_far(run, monkeypatch, number, name):
    told = []
    pressing(monkeypatch, refinement.Pursuit, "tell", number, lambda *_: told.append(1) or len(told) == 3)
    files = "-o", "out.wav", "--parameters", "out.json", "--report", "out.html"
    code, out, err = run("match", "--effect", DRIVE, "--input", "in.wav", "--reference", "ref.wav", "--refine", 10**6, *files)
    assert code == 128 + number, err
    assert f"Stopped by {name}; these are the best settings so far." in out
    assert json.loads(Path("out.json").read_text())["interrupted"]
    assert audio_files.read("out.wav")[0].shape == audio_files.read("in.wav")[0].shape
    assert "<audio" in Path("out.html").read_text()


@pytest.mark.parametrize(("number", "name"), [INTERRUPT, pytest.param(*TERMINATE, marks=pytest.mark.slow)])
def test_an_evaluation_keeps_its_results_and_goes_on(run, monkeypatch, number, name):
    seen = []
    pressing(monkeypatch, evaluate.Interrupt, "check", number, lambda *_: seen.append(1) or len(seen) == 2)
    command = "evaluate", DRIVE, "--kind", "music", "--recordings", "music", "--method", "dry", "-o", "results"
    code, out, err = run(*command, "--examples", 1000, "--json")
    assert code == 128 + number, err
    assert f"stopped by {name}; the same command continues" in err
    assert json.loads(out)
    assert len(results(Path("results"))) == 3
    assert run(*command, "--examples", 5, "--json")[0] == 0
    assert len(results(Path("results"))) == 5


TRAIN = (
    "train", DRIVE, "-o", "run", "--recordings", "music", "--pairs", 16, "--hosts", 1, "--audio-steps", 1, "--examples", 1,
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "name", "stage"), [(signal.SIGINT, "Ctrl-C", "settings"), (signal.SIGTERM, "SIGTERM", "audio")]
)
def test_a_training_is_ended_with_the_best_so_far(run, monkeypatch, number, name, stage):
    few = {name: dataclasses.replace(plan, judged=4) for name, plan in presets.PRESETS.items()}
    monkeypatch.setattr(presets, "PRESETS", few)
    pressing(monkeypatch, training_work.Work, "on_epoch", number, lambda _, at, row: (at, row["epoch"]) == (stage, 0))
    code, out, err = run(*TRAIN, "--settings-epochs", 3, "--audio-epochs", 3)
    assert code == 128 + number, err
    assert f"Stopped by {name}; this is the best so far." in out
    assert Controller.load(Path("run/controller.safetensors")).header["interrupted"]
    assert "<audio" in Path("run/report.html").read_text()


@pytest.mark.slow
def test_a_training_that_is_terminated_ends_with_files_and_a_message(run):
    number = signal.SIGTERM
    program = Path(sys.executable).with_name("blackbox-grad")
    command = [
        str(a) for a in (program, "style", *TRAIN, "--set", "drive_db=20 dB", "--settings-epochs", 10**6, "--audio-epochs", 0)
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while not process.stderr.readline().startswith("settings 2"):
            assert process.poll() is None
        process.send_signal(number)
        out, err = process.communicate(timeout=240)
    assert process.returncode == 128 + number, err
    assert "Traceback" not in err
    assert "Stopped by SIGTERM" in out
    assert "20 dB" in out
    assert Controller.load(Path("run/controller.safetensors")).header["interrupted"]
