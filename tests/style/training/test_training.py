"""Training runs: they learn, they are repeatable, and they survive interruptions."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from blackbox_grad.errors import AudioError, MissingDependencyError
from blackbox_grad_adapters.style_matching.data.recordings import Tracks, in_folder
from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.controller import Controller
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.weight_file import WeightsError
from blackbox_grad_adapters.style_matching.report import write_run_report
from blackbox_grad_adapters.style_matching.training import run
from blackbox_grad_adapters.style_matching.training.controller_training import Plan
from blackbox_grad_adapters.style_matching.training.loggers import weights_and_biases
from blackbox_grad_adapters.style_matching.training.stage import Stage

DRIVE = "pedalboard-builtin:Distortion"
RATE, LENGTH = 24_000, 22_528
PLAN = Plan(
    pairs=64,
    sounds=32,
    judged=8,
    settings_epochs=3,
    settings_batch=16,
    audio_epochs=3,
    audio_steps=3,
    audio_batch=8,
    widths=(32,),
)


@pytest.fixture(scope="module")
def sides(recordings, tmp_path_factory):
    """Tracks for training and validation."""
    first, second = in_folder(recordings)
    folder = tmp_path_factory.mktemp("decoded sides")
    return Tracks([first], RATE, folder=folder), Tracks([second], RATE, folder=folder)


@pytest.fixture(scope="module")
def caches(tmp_path_factory):
    return tmp_path_factory.mktemp("caches")


@pytest.fixture(scope="module")
def encoder(sides, caches, tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoder run")
    effects = (DRIVE, "pedalboard-builtin:Delay")
    file, fitted = run.run_encoder(effects, folder, sides, latent=16, length=LENGTH, pairs=64, epochs=12, caches=caches)
    rows = fitted.history
    assert rows[-1]["train/reconstruction"] < 0.8 * rows[0]["train/reconstruction"]
    assert rows[-1]["validation/reconstruction"] < rows[0]["validation/reconstruction"]
    return Encoder.load(file)


@pytest.fixture
def train(sides, caches, encoder):
    def of(folder, plan=PLAN, **options):
        return run.run_controller(DRIVE, folder, sides, encoder, plan, caches=caches, **options)

    return of


class Killed(Exception):
    pass


def killed_in(stage, epoch):
    def on_epoch(name, row):
        if (name, row["epoch"]) == (stage, epoch):
            raise Killed

    return on_epoch


def weights(file):
    return torch.cat([weight.flatten() for weight in Controller.load(file).state_dict().values()])


def test_a_run_repeats_itself_and_learns(train, encoder, tmp_path):
    (first, trained), (second, _) = train(tmp_path / "a"), train(tmp_path / "b")
    assert (weights(first) == weights(second)).all()
    assert trained.results["ratio"] <= trained.results["ratio after settings"]
    assert trained.results["ratio"] < trained.results["ratio of the middle"]
    header = Controller.load(first).header
    assert header["effect"] == DRIVE
    assert header["parameters"] == ["drive_db"]
    assert header["encoder"] == encoder.fingerprint == Encoder.load(tmp_path / "a" / shipped.ENCODER).fingerprint
    assert header["seed"] == 0
    assert header["seconds"] > 0
    assert header["recordings"]["train"]["groups"] == ["first"]


def test_a_run_that_has_learnt_nothing_says_so_everywhere_and_is_refused(train, tmp_path):
    nothing = dataclasses.replace(PLAN, settings_epochs=0, audio_epochs=0)
    file, trained = train(tmp_path / "nothing", nothing)
    header = Controller.load(file).header
    assert (header["results"]["learnt"], header["results"]["chance"]) == (False, 1.0)
    write_run_report(tmp_path / "report.html", trained, "the command", 0)
    assert "the controller has learnt nothing" in (tmp_path / "report.html").read_text("utf-8")
    with pytest.raises(WeightsError, match=r"has learnt nothing: .*--pairs N .*--force, or StyleMatcher.load\(…, force=True\)"):
        StyleMatcher.load(tmp_path / "nothing")
    assert StyleMatcher.load(tmp_path / "nothing", force=True).path.names == ("drive_db",)


def test_weights_from_before_the_verdict_load(train, tmp_path):
    file, trained = train(tmp_path / "run", dataclasses.replace(PLAN, settings_epochs=0, audio_epochs=0))
    old = {name: value for name, value in trained.results.items() if name not in ("learnt", "chance")}
    trained.controller.save(file, {**Controller.load(file).header, "results": old})
    assert StyleMatcher.load(tmp_path / "run").path.names == ("drive_db",)


@pytest.mark.slow
def test_another_seed_is_another_run(train, tmp_path):
    (first, _), (second, _) = train(tmp_path / "a"), train(tmp_path / "b", dataclasses.replace(PLAN, seed=1))
    assert (weights(first) != weights(second)).any()


@pytest.mark.slow
@pytest.mark.parametrize(("count", "batch", "steps"), [(40, 4, 3), (40, 4, 10), (43, 4, 7), (5, 16, 2), (12, 4, 99)])
def test_all_pairs_come_before_one_comes_again(count, batch, steps, monkeypatch):
    seen = []
    for epoch in range(10):
        monkeypatch.setattr(Stage, "current_epoch", epoch)
        batches = Stage(seed=1).in_turn(count, batch, steps)
        assert len(batches) == min(steps, count // min(batch, count))
        seen += batches
    whole = count // min(batch, count)
    for first in range(0, len(seen) - whole + 1, whole):
        numbers = torch.cat(seen[first : first + whole]).tolist()
        assert len(set(numbers)) == len(numbers)
        assert set(numbers) <= set(range(count))


@pytest.mark.parametrize(("stage", "epoch"), [("settings", 1), ("audio", 1)])
def test_what_was_killed_goes_on_to_the_same_end(train, tmp_path, stage, epoch):
    whole, _ = train(tmp_path / "whole")
    with pytest.raises(Killed):
        train(tmp_path / "killed", on_epoch=killed_in(stage, epoch))
    epochs = []
    resumed, _ = train(tmp_path / "killed", on_epoch=lambda name, row: epochs.append((name, row["epoch"])))
    assert epochs[0] == (stage, epoch)  # killed before its checkpoint was written: again
    assert (weights(resumed) == weights(whole)).all()


@pytest.mark.slow
def test_a_moved_folder_goes_on_and_what_had_ended_stays_as_it_is(train, tmp_path):
    plan = dataclasses.replace(PLAN, audio_epochs=6, audio_rate=0.5, patience=1)  # it soon gets worse
    _, trained = train(tmp_path / "whole", plan)
    assert len(trained.stages["audio"].history) < 6
    (tmp_path / "whole").rename(tmp_path / "moved")
    epochs = []
    again, same = train(tmp_path / "moved", plan, on_epoch=lambda name, row: epochs.append(name))
    assert not epochs
    assert same.results == trained.results
    with pytest.raises(Killed):
        train(tmp_path / "killed", plan, on_epoch=killed_in("audio", 1))
    (tmp_path / "killed").rename(tmp_path / "elsewhere")
    resumed, _ = train(tmp_path / "elsewhere", plan)
    assert (weights(resumed) == weights(again)).all()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_keeps_the_best_and_goes_on_later(train, tmp_path, number):
    def press(name, row):
        if (name, row["epoch"]) == ("audio", 0):
            os.kill(os.getpid(), number)

    whole, _ = train(tmp_path / "whole")
    file, trained = train(tmp_path / "pressed", on_epoch=press)
    assert trained.interrupted
    assert Controller.load(file).header["interrupted"]
    assert len(trained.stages["audio"].history) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    file, trained = train(tmp_path / "pressed")
    assert not trained.interrupted
    assert (weights(file) == weights(whole)).all()


def test_a_damaged_checkpoint_is_said(train, tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, on_epoch=killed_in("settings", 1))
    checkpoint = tmp_path / "settings" / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(WeightsError, match=r"last\.ckpt: the checkpoint cannot be read .* delete it"):
        train(tmp_path)


def test_a_checkpoint_of_another_version_is_said(train, tmp_path):
    with pytest.raises(Killed):
        train(tmp_path, on_epoch=killed_in("settings", 1))
    checkpoint = tmp_path / "settings" / "last.ckpt"
    content = torch.load(checkpoint, weights_only=True)
    content["state_dict"]["controller.renamed"] = content["state_dict"].popitem()[1]
    torch.save(content, checkpoint)
    with pytest.raises(WeightsError, match=r"last\.ckpt: the checkpoint is of another version .*renamed.* delete it"):
        train(tmp_path)


@pytest.mark.slow
def test_a_full_disk_keeps_the_last_whole_epoch(train, tmp_path, monkeypatch):
    whole, _ = train(tmp_path / "whole")
    write = Path.write_bytes

    def full(path, content):
        write(path, content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    def fill(name, row):
        if (name, row["epoch"]) == ("audio", 1):
            monkeypatch.setattr(Path, "write_bytes", full)

    with pytest.raises(AudioError, match=r"\.ckpt: cannot be written \(No space left on device\); make room"):
        train(tmp_path / "full", on_epoch=fill)
    monkeypatch.undo()
    assert not list((tmp_path / "full").rglob("*.part"))
    epochs = []
    resumed, _ = train(tmp_path / "full", on_epoch=lambda name, row: epochs.append((name, row["epoch"])))
    assert epochs[0] == ("audio", 1)
    assert (weights(resumed) == weights(whole)).all()


def test_a_folder_with_another_run_is_left_alone(train, tmp_path):
    train(tmp_path, dataclasses.replace(PLAN, audio_epochs=0))
    before = (tmp_path / shipped.CONTROLLER).read_bytes()
    with pytest.raises(WeightsError, match=r"other settings \(audio_epochs, seed differ\)"):
        train(tmp_path, dataclasses.replace(PLAN, seed=3))
    assert (tmp_path / shipped.CONTROLLER).read_bytes() == before


@pytest.mark.slow
def test_fixed_settings_are_found_by_their_sound_alone(train, tmp_path):
    plan = dataclasses.replace(PLAN, settings_epochs=0, audio_epochs=12, audio_steps=4, audio_rate=3e-3, patience=12)
    _, trained = train(tmp_path, plan, settings={"drive_db": 0.3})
    assert not trained.examples["clean"].any()
    assert (trained.p - 0.3).abs().mean() < 0.03
    assert trained.results["error"]["drive_db"] < 0.03
    assert trained.results["ratio of the middle"] > 3 * trained.results["ratio"]


@pytest.mark.slow
def test_tensorboard_has_curves_and_sounds(train, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tmp_path)
    events = EventAccumulator(str(tmp_path / "audio" / "tensorboard"))
    events.Reload()
    assert {"audio/ratio", "audio/settings", "parameters/drive_db"} <= set(events.Tags()["scalars"])
    assert {"0/input", "0/reference", "0/truth", "0/match"} <= set(events.Tags()["audio"])
    assert len(events.Audio("0/match")) == 3


@pytest.fixture
def wandb(monkeypatch, tmp_path):
    """Weights & Biases on the machine of a user who has never used it."""
    module = pytest.importorskip("wandb")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    return module


def test_weights_and_biases_has_curves_and_sounds_and_goes_on_in_its_run(train, wandb, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = tmp_path / "a run"
    with pytest.raises(Killed), weights_and_biases("style", folder) as loggers:
        train(folder, loggers=loggers, on_epoch=killed_in("audio", 1))
    with weights_and_biases("style", folder) as loggers:
        train(folder, loggers=loggers)
        run = loggers[0].experiment
        assert (run.project, run.name) == ("style", "a run")
        assert run.config["effect"] == DRIVE
        assert {"audio/ratio", "audio/settings", "parameters/drive_db"} <= set(run.summary.keys())
    ids = {file.name.rpartition("-")[2] for file in (folder / "wandb").glob("offline-run-*-*")}
    assert ids == {run.id}
    heard = {f"{file.parent.name}/{file.name.partition('_')[0]}" for file in folder.glob("wandb/*/files/media/audio/*/*.wav")}
    assert heard >= {f"{i}/{name}" for i in range(3) for name in ("input", "reference", "truth", "match")}


def test_who_is_not_logged_in_is_told_before_the_work(wandb, tmp_path):
    """In its own process: wandb reads its environment once."""
    begin = "import sys; from blackbox_grad.cli import main; main(sys.argv[1:])"
    command = ["style", "train", DRIVE, "-o", str(tmp_path / "run"), "--wandb", "mine"]
    done = subprocess.run(
        [sys.executable, "-c", begin, *command], capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 1, done.stderr
    assert "Weights & Biases cannot begin a run of 'mine'" in done.stderr
    assert "WANDB_MODE=offline" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_wandb_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with (
        pytest.raises(
            MissingDependencyError,
            match="Weights & Biases needs wandb, which is not installed; install it from where its makers say",
        ),
        weights_and_biases("style", tmp_path / "run"),
    ):
        pass
    assert not (tmp_path / "run").exists()
