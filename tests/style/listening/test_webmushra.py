"""The export for webMUSHRA: the fields of its documentation, and sounds that are those of the page."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from blackbox_grad import audio_files
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.listening.folders import from_folder
from blackbox_grad_adapters.style_matching.listening.trials import prepared
from blackbox_grad_adapters.style_matching.listening.webmushra import write_webmushra
from tests.command_line import fail_here, succeed_here

#: doc/experimenter.md of webMUSHRA: the fields of an experiment and of its pages.
TOP = {"testname", "testId", "bufferSize", "stopOnErrors", "showButtonPreviousPage", "remoteService", "pages"}
SHARED = {"type", "id", "name", "content", "showWaveform", "enableLooping", "reference", "stimuli"}
FIELDS = {
    "mushra": SHARED | {"createAnchor35", "createAnchor70"},
    "paired_comparison": SHARED,
    "generic": {"type", "id", "name", "content"},
    "finish": {"type", "name", "content", "showResults", "writeResults"},
}


@pytest.mark.parametrize(("design", "kind"), [("mushra", "mushra"), ("abx", "paired_comparison")])
def test_the_configuration_names_files_that_are_there(design, kind, sounds, tmp_path):
    made = prepared(from_folder(sounds), design, title="Ä test: of <b>")
    file = write_webmushra(tmp_path / "out", made, "Which & how?")
    assert file.parent == tmp_path / "out" / "configs"
    found = yaml.safe_load(file.read_text("utf-8"))
    assert set(found) == TOP
    assert "\n  -\n      - random\n      - type: " in file.read_text(
        "utf-8"
    )  # the only way in which webMUSHRA reads a list in a list
    assert found["testname"] == "Ä test: of <b>"
    first, (order, *trials), last = found["pages"]
    assert (order, first["type"], last["type"]) == ("random", "generic", "finish")
    assert len(trials) == len(made.description.trials)
    assert len({trial["id"] for trial in trials}) == len(trials)
    for page in (first, *trials, last):
        assert set(page) == FIELDS[page["type"]]
    for page, trial in zip(trials, made.description.trials, strict=True):
        assert page["type"] == kind
        assert set(page["stimuli"]) | {"reference"} == set(trial.systems)
        item = made.items[made.places[trial.id]]
        for system, name in {"reference": page["reference"], **page["stimuli"]}.items():
            audio, rate = audio_files.read(tmp_path / "out" / name)
            assert rate == made.sample_rate
            assert np.array_equal(audio, item.sounds[system])


def test_what_webmushra_has_no_page_for_is_refused(sounds, tmp_path, capsys):
    made = prepared(from_folder(sounds), "abx", pairs=[("near", "far")])
    with pytest.raises(AudioError, match="no page for two systems; export MUSHRA or ABX"):
        write_webmushra(tmp_path / "out", made, "")
    listen = ("style", "listen", "prepare", sounds, "--webmushra", tmp_path / "out")
    assert "no page for two systems" in fail_here(capsys, *listen, "--test", "ab")
    assert not (tmp_path / "out").exists()
    assert "copy" in succeed_here(capsys, *listen)
    assert len(list((tmp_path / "out" / "configs").glob("*.yaml"))) == 1
