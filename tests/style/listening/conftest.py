from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from blackbox_grad import audio_files, load
from blackbox_grad_adapters.style_matching.commands import app

EFFECTS = {"Distortion": "pedalboard-builtin:Distortion", "Reverb": "pedalboard-builtin:Reverb"}


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    """A guitar through two effects: the reference, settings near to it and far from it, and dry; a folder for each trial."""
    folder = tmp_path_factory.mktemp("sounds")
    audio, rate = audio_files.example()
    x, rate = audio_files.resample(audio[:1, : int(1.2 * rate)], rate, 22050), 22050
    for effect, address in EFFECTS.items():
        trial = folder / effect / "guitar"
        trial.mkdir(parents=True)
        with load(address, rate) as opened:
            count = len(opened.parameters)
            for name, setting in (("reference", 0.7), ("near", 0.6), ("far", 0.2)):
                audio_files.write(trial / f"{name}.wav", opened.render(x, np.full(count, setting)), rate)
        audio_files.write(trial / "dry.wav", x, rate)
    return folder


@pytest.fixture(scope="session")
def pages(sounds, tmp_path_factory):
    """A page of each kind of test."""
    folder = tmp_path_factory.mktemp("pages")
    made = {}
    for name, options in {
        "mushra": ("--title", "Two effects <&> a guitar"),
        "ab": ("--training", "0", "--pair", "near,far"),
        "abx": ("--training", "0", "--pair", "reference,far", "--repeats", "2"),
    }.items():
        made[name] = folder / f"{name}.html"
        done = CliRunner().invoke(app, ["listen", "prepare", str(sounds), "-o", str(made[name]), "--test", name, *options])
        assert done.exit_code == 0, done.output
    return made


@pytest.fixture
def visit(browser):
    """Opens a page in a browser of its own; in the end, no script on it has failed."""
    from tests.style.listening.visits import Visit

    opened = []

    def open_one(address, **options):
        opened.append(Visit(browser, address, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        assert one.errors == []
        one.context.close()


@pytest.fixture
def served(tmp_path):
    """Serves a page, with the database `answers.db`."""
    from tests.style.listening.visits import Served

    running = []

    def serve(page, port=0):
        running.append(Served(page, tmp_path / "answers.db", port))
        return running[-1]

    yield serve
    for one in running:
        if one.process.poll() is None:
            one.stop()
