"""Inference, from Python and from the command line: any recording, and a clear error if there is nothing to match."""

from __future__ import annotations

import json
import re
import runpy

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from blackbox_grad import audio_files, load
from blackbox_grad.errors import AudioError, BlackboxGradError
from blackbox_grad_adapters.style_matching.commands import app
from blackbox_grad_adapters.style_matching.data.recordings import Tracks, in_folder
from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.controller import Controller
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.weight_file import WeightsError
from blackbox_grad_adapters.style_matching.training import run
from blackbox_grad_adapters.style_matching.training.controller_training import Plan

DRIVE = "pedalboard-builtin:Distortion"
RATE = 24_000


@pytest.fixture(scope="module")
def model(recordings, tmp_path_factory):
    """The folder of a run, trained on settings alone."""
    folder = tmp_path_factory.mktemp("run")
    decoded, caches = tmp_path_factory.mktemp("decoded"), tmp_path_factory.mktemp("caches")
    sides = tuple(Tracks([recording], RATE, folder=decoded) for recording in in_folder(recordings))
    file, _ = run.run_encoder((DRIVE,), folder / "ears", sides, latent=16, length=22_528, pairs=128, epochs=5, caches=caches)
    plan = Plan(pairs=128, judged=16, settings_epochs=8, settings_batch=16, audio_epochs=0)
    run.run_controller(DRIVE, folder / "drive", sides, Encoder.load(file), plan, caches=caches)
    return folder / "drive"


@pytest.fixture(scope="module")
def matcher(model):
    return StyleMatcher.load(model)


def guitar(start, seconds, rate=RATE, channels=1):
    audio, own = audio_files.example()
    return audio_files.resample(audio[:channels], own, rate)[:, int(start * rate) : int((start + seconds) * rate)]


def driven(audio, drive, rate=RATE):
    peak = np.abs(audio).max()
    with load(DRIVE, rate) as effect:
        return effect.render(audio * (10 ** (-12 / 20) / peak), [drive])


def test_more_drive_in_the_reference_is_more_drive_in_the_match(matcher):
    found = [matcher.match(guitar(0, 2), driven(guitar(2, 2), drive), RATE).p[0] for drive in (0.05, 0.5, 0.95)]
    assert found[0] < found[1] < found[2]


def test_any_length_rate_and_layout(matcher):
    for x, reference, rates in [
        (guitar(0, 0.05), guitar(2, 0.3), (RATE, None)),
        (guitar(0, 4.9), guitar(0, 4.9), (RATE, None)),
        (guitar(0, 1, 44_100, 2), guitar(2, 1, 48_000, 1), (44_100, 48_000)),
        (guitar(0, 1), guitar(2, 1, channels=2), (RATE, None)),
    ]:
        found = matcher.match(x, reference, *rates, level="peak")
        assert found.y.shape == x.shape
        assert found.y.dtype == np.float32
        assert np.isfinite(found.y).all()
        assert np.abs(found.y).max() == pytest.approx(np.abs(x).max(), rel=1e-4)
        assert ((found.p >= 0) & (found.p <= 1)).all()


def test_the_level_of_the_input_does_not_count(matcher):
    x, reference = guitar(0, 2), driven(guitar(2, 2), 0.6)
    loud, quiet = matcher.match(x, reference, RATE), matcher.match(0.01 * x, reference, RATE)
    assert quiet.p == pytest.approx(loud.p, abs=0.01)
    assert quiet.gain == pytest.approx(loud.gain + 40.0, abs=1e-3)
    np.testing.assert_allclose(100 * quiet.y, loud.y, atol=0.02 * np.abs(loud.y).max())


def test_tensors_are_taken_too(matcher):
    x, reference = guitar(0, 1), guitar(2, 1)
    both = matcher.match(torch.from_numpy(x), torch.from_numpy(reference), RATE), matcher.match(x, reference, RATE)
    np.testing.assert_allclose(both[0].y, both[1].y, atol=1e-4 * np.abs(both[1].y).max())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x: 0 * x, "silent"),
        (lambda x: x[:, :0], "silent"),
        (lambda x: x * np.float32(np.nan), "NaN"),
        (lambda x: x[0], "shape"),
    ],
)
def test_nothing_to_hear_is_said(matcher, spoil, message):
    x, reference = guitar(0, 1), guitar(2, 1)
    with np.errstate(invalid="ignore"):
        spoilt = spoil(reference)
    with pytest.raises(AudioError, match=message):
        matcher.match(x, spoilt, RATE)
    with pytest.raises(AudioError, match=message):
        matcher.match(spoilt, reference, RATE)


def test_refinement_comes_nearer_within_its_renders(matcher):
    x, reference = guitar(0, 1.5), driven(guitar(2, 2), 0.9)  # the whole input counts
    plain, refined = (matcher.match(x, reference, RATE, refine=n) for n in (0, 40))
    again = matcher.match(x, reference, RATE, refine=40)
    assert (refined.p == again.p).all()
    assert refined.distance <= plain.distance


def test_a_controller_without_its_encoder_is_refused(model, tmp_path):
    (tmp_path / shipped.CONTROLLER).write_bytes((model / shipped.CONTROLLER).read_bytes())
    with pytest.raises(WeightsError, match="was trained with the encoder"):
        StyleMatcher.load(tmp_path)
    Encoder("statistics", RATE, 22_528, 16).save(tmp_path / shipped.ENCODER, {})
    with pytest.raises(WeightsError, match="was trained with the encoder"):
        StyleMatcher.load(tmp_path / shipped.CONTROLLER)


def test_a_controller_of_other_parameters_is_refused(model, tmp_path):
    controller = Controller.load(model / shipped.CONTROLLER)
    controller.save(tmp_path / shipped.CONTROLLER, {**controller.header, "parameters": ["Warmth"]})
    (tmp_path / shipped.ENCODER).write_bytes((model / shipped.ENCODER).read_bytes())
    with pytest.raises(WeightsError, match="trained for Warmth"):
        StyleMatcher.load(tmp_path)
    with pytest.raises(WeightsError, match="trained for drive_db of another effect: pedalboard-builtin:Reverb"):
        StyleMatcher.load(model, effect="pedalboard-builtin:Reverb")


def test_the_effect_may_lie_elsewhere(model):
    assert StyleMatcher.load(model, effect="Distortion").path.names == ("drive_db",)
    assert StyleMatcher.load(model, effect=f"{DRIVE} ").path.spec.address == DRIVE


@pytest.mark.parametrize(
    "address",
    [
        *(
            "pedalboard:/tmp/stranger.vst3",
            "dawdreamer:../stranger.so",
            "faust:process = _;",
            f"{DRIVE} | faust:/tmp/stranger.dsp",
        ),
        *("/tmp/stranger.so", "stranger.dsp", "process = _;", f"{DRIVE} | /tmp/stranger.vst3"),  # without their backends
        *("ZamDelay.vst3", "pedalboard:ZamDelay.vst3", "dawdreamer:ZamDelay.vst3#Zam"),  # in the working directory
    ],
)
def test_weights_that_bring_code_ask_for_the_effect(model, address, tmp_path, monkeypatch):
    (tmp_path / "ZamDelay.vst3").mkdir()
    monkeypatch.chdir(tmp_path)
    heard = Controller.load(model / shipped.CONTROLLER), Encoder.load(model / shipped.ENCODER)
    heard[0].header = {"effect": address, "parameters": ["drive_db"]}
    with pytest.raises(WeightsError, match=r"would run as you; if you trust it, give it as the effect"):
        StyleMatcher(*heard)
    with pytest.raises(BlackboxGradError) as caught:
        StyleMatcher(*heard, effect=address)
    assert "would run as you" not in str(caught.value)


@pytest.mark.plugins
@pytest.mark.parametrize(("name", "parameter", "differs"), [("Delay", "L Delay", True), ("Overdrive", "Drive", False)])
def test_it_is_said_where_an_effect_counts_in_samples(model, name, parameter, differs, recwarn):
    """MDA's Delay has a buffer with the same number of samples at every rate."""
    heard = Controller.load(model / shipped.CONTROLLER), Encoder.load(model / shipped.ENCODER)
    heard[0].header = {"effect": f"dawdreamer:http://drobilla.net/plugins/mda/{name}", "parameters": [parameter]}
    StyleMatcher(*heard).match(guitar(0, 2, 48_000), guitar(2, 2), 48_000, RATE)
    assert any("sounds different at 48000 Hz" in str(warning.message) for warning in recwarn) == differs


def test_an_effect_without_weights_says_how_to_train_them():
    with pytest.raises(WeightsError, match="blackbox-grad style train pedalboard-builtin:Phaser"):
        StyleMatcher.load("pedalboard-builtin:Phaser")
    with pytest.raises(WeightsError, match="several effects"):
        StyleMatcher.load("Delay")


@pytest.fixture
def files(tmp_path):
    audio_files.write(tmp_path / "in.wav", guitar(0, 2, 44_100, 2), 44_100)
    audio_files.write(tmp_path / "ref.flac", driven(guitar(2, 1), 0.8), RATE)
    return tmp_path


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_command_writes_audio_settings_and_report(model, files):
    outputs = files / "out.wav", files / "out.json", files / "out.html"
    done = call(
        "match", "--model", model, "--input", files / "in.wav", "--reference", files / "ref.flac", "-o", outputs[0],
        "--parameters", outputs[1], "--report", outputs[2], "--refine", 10, "--save-preset", files / "out.py",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "drive_db" in done.output
    y, rate = audio_files.read(outputs[0])
    assert (y.shape, rate) == ((2, 88_200), 44_100)
    settings = json.loads(outputs[1].read_text())
    assert settings["parameters"][0]["name"] == "drive_db"
    assert settings["effect"] == DRIVE
    normalised = settings["parameters"][0]["normalised"]
    with load(DRIVE, parameters=["drive_db"]) as effect:
        assert runpy.run_path(str(files / "out.py"))["effect"].drive_db == pytest.approx(
            effect.parameters.to_native([normalised])["drive_db"]
        )
    assert self_contained(outputs[2])
    assert outputs[2].read_text().count("<audio") == 3


def self_contained(page):
    return not re.findall(r'(?:src|href)="(?!data:)', page.read_text())


def test_the_command_needs_an_effect_or_a_model(files):
    done = call("match", "--input", files / "in.wav", "--reference", files / "ref.flac")
    assert done.exit_code == 2
    assert "--effect" in done.output


@pytest.mark.slow
def test_train_writes_weights_and_a_report_that_match_understands(files, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "music").mkdir()
    for name in "ab":
        audio_files.write(tmp_path / "music" / f"{name}.flac", np.tile(guitar(0, 5), 2), RATE)
    common = ("--recordings", tmp_path / "music", "--pairs", 16, "--hosts", 1)
    made = call("train-encoder", "-o", tmp_path / "ears", "--effect", DRIVE, "--latent", 8, "--epochs", 2, *common)
    assert made.exit_code == 0, made.output
    done = call(
        "train", DRIVE, "-o", tmp_path / "run", "--encoder", tmp_path / "ears", "--settings-epochs", 2, "--audio-epochs", 1,
        "--audio-steps", 1, "--examples", 2, *common, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "1/1 recordings decoded" in made.stderr
    assert re.search(r"1 effects, 16 pairs of each, 2 epochs: about \d", made.stderr)
    assert re.search(r"encoder 1/2, \d+ (s|min) left: ", made.stderr)
    assert re.search(r"pairs to learn from 1/1, \d+ (s|min).* left", done.stderr)
    assert re.search(r"settings 1/2, \d+ (s|min).* left: .*validation", done.stderr)
    assert json.loads(done.stdout)["learnt"] in (True, False)
    page = tmp_path / "run" / "report.html"
    assert self_contained(page)
    text = page.read_text()
    assert text.count("<audio") == text.count("data:audio/mpeg") == 2 * 4
    for sound in ("Input", "Reference", "Truth", "Match"):
        assert text.count(f"<b>{sound}") == 2
    for title in ("Losses", "Parameters while training", "Settings of pairs to validate on"):
        assert f"<h2>{title}</h2>" in text
    assert page.stat().st_size < 0.6e6
    matched = call(
        "match",
        "--model",
        tmp_path / "run",
        "--input",
        files / "in.wav",
        "--reference",
        files / "ref.flac",
        "--json",
        "--force",
    )
    assert matched.exit_code == 0, matched.output
