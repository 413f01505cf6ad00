"""`match` with instruments: notes go in, a patch comes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from blackbox_grad import InProcessHost, Match, Notes, load, match
from blackbox_grad.effects import Audio
from blackbox_grad.errors import AudioError, ParameterError
from blackbox_grad.matching import Progress

DX10 = "dawdreamer:http://drobilla.net/plugins/mda/DX10"
RATE = 22050.0
NOTES = Notes([("C3", 110, 0.0, 0.2), ("G4", 60, 0.25, 0.1)], seconds=0.5)
SOUGHT = ["Octave", "Mod Init", "Decay"]
HIDDEN = {"Octave": 0.3, "Mod Init": 0.6, "Decay": 0.4}

pytestmark = pytest.mark.plugins


@pytest.fixture(scope="module")
def target() -> Audio:
    with load(DX10, RATE, SOUGHT) as dx10:
        return dx10.render(NOTES, dx10.parameters.point(HIDDEN))


def matched(target: Audio, notes: Any = NOTES, renders: int = 12, **choices: Any) -> Match:
    return match(DX10, notes, target, RATE, parameters=SOUGHT, renders=renders, host=InProcessHost(), **choices)


def test_match_finds_a_patch_with_an_octave_among_its_settings(target: Audio) -> None:
    found = matched(target, renders=300)
    assert found.loss < 0.05 * found.loss_start
    assert found.loss_name == "tones"
    octave = found.point[SOUGHT.index("Octave")]
    with load(DX10, RATE, SOUGHT) as dx10:
        assert np.array_equal(found.audio, dx10.render(NOTES, found.point))
        hidden, there = (dx10.parameters.point(HIDDEN | {"Octave": value}) for value in (HIDDEN["Octave"], float(octave)))
        assert np.array_equal(dx10.render(NOTES, hidden), dx10.render(NOTES, there))  # the same octave


def test_starts_are_rendered_first_and_the_search_goes_on_from_the_best(target: Audio) -> None:
    heard: list[Progress] = []
    starts = np.array([[0.5, 0.5, 0.5], [0.3, 0.6, 0.4], [0.9, 0.1, 0.1]])
    found = matched(target, renders=40, starts=starts, on_progress=heard.append)
    assert [p.phase for p in heard[:2]] == ["search", "starts"]
    assert heard[1].renders == 1 + len(starts)
    assert heard[1].best == 0.0 == found.loss  # the second start is the hidden patch
    with load(DX10, RATE, SOUGHT) as dx10:
        assert np.array_equal(found.input, dx10.render(NOTES, starts[1]))


def test_an_instrument_starts_from_its_factory_presets(target: Audio) -> None:
    with load(DX10, RATE, SOUGHT) as dx10:
        presets = dx10.presets()
        preset = presets[20]
        wanted = dx10.render(NOTES, preset.p)
    heard: list[Progress] = []
    few: dict[str, Any] = {"renders": 4 * len(presets) + 8, "on_progress": heard.append}
    assert matched(wanted, **few).loss == 0.0
    assert [p.best for p in heard if p.phase == "starts"][-1] == 0.0
    heard.clear()
    matched(wanted, starts=[], renders=20, on_progress=heard.append)
    assert not [p for p in heard if p.phase == "starts"]
    with pytest.raises(ParameterError, match="starts='banks' is unknown; give 'presets', or settings"):
        matched(wanted, starts="banks")


def test_a_searcher_begins_at_the_best_start(target: Audio) -> None:
    began: list[Any] = []

    class Stays:
        def __init__(self, space: Any, seed: int) -> None:
            began.append(space.defaults.tolist())

        def ask(self, count: int) -> Any:
            return np.empty((0, 3))

        def tell(self, points: Any, losses: Any, residuals: Any) -> None:
            raise AssertionError("it asked for nothing")

    matched(target, renders=20, starts=[[0.9, 0.1, 0.1], [0.3, 0.6, 0.5]], searcher=Stays)
    assert began == [[0.3, 0.6, 0.5]]


def test_an_estimator_descends_from_the_best_start(target: Audio) -> None:
    heard: list[Progress] = []
    matched(target, renders=60, starts=[[0.32, 0.58, 0.42]], estimator="spsa", on_progress=heard.append)
    near = next(p.loss for p in heard if p.phase == "starts")
    assert next(p.loss for p in heard if p.phase == "descent") == pytest.approx(near, rel=1e-5)


def test_of_too_many_starts_a_quarter_of_the_renders_is_tried(target: Audio) -> None:
    heard: list[Progress] = []
    starts = np.random.default_rng(0).uniform(size=(50, 3))
    matched(target, renders=40, starts=starts, on_progress=heard.append)
    assert max(p.renders for p in heard if p.phase == "starts") == 1 + 10


def test_the_search_of_long_notes_plays_their_beginning(target: Audio) -> None:
    late = Notes([("C3", 110, 0.1, 0.1), ("G4", 60, 0.4, 0.05)], seconds=0.5)
    found = matched(target, late, excerpt=0.2)
    assert found.searched_seconds == pytest.approx(0.2, abs=1e-3)
    assert found.audio.shape == found.target.shape == target.shape


def test_the_instrument_plays_as_long_and_as_wide_as_the_target(target: Audio) -> None:
    mono = target.mean(axis=0, keepdims=True)[:, :9000]
    found = matched(mono, NOTES)
    assert found.audio.shape == (1, 9000)
    assert np.abs(found.input).max() <= 1.0  # a sound, not packed notes


def test_the_report_plays_start_target_and_match(target: Audio, tmp_path: Any) -> None:
    pytest.importorskip("jinja2")
    page = matched(target).report(tmp_path / "report.html").read_text("utf-8")
    for title in ("Start", "Target", "Match"):
        assert f">{title}</button>" in page
    assert ">Input</button>" not in page
    assert page.count("data:audio/flac") == 3


def test_what_does_not_go_together_is_refused_before_anything_is_searched(target: Audio) -> None:
    def refused(*arguments: Any, said: str, error: type[Exception] = AudioError, **choices: Any) -> None:
        with pytest.raises(error, match=said):
            match(*arguments, host=InProcessHost(), **choices)

    refused(DX10, target, target, RATE, said="DX10 is an instrument: give match the notes that the target plays")
    refused("reference:gain", NOTES, target, RATE, said="reference:gain is an effect: give match the recording")
    refused(DX10, Notes.one("C4", start=2.0), target, RATE, said="the first note begins at 2 s, and the target ends at 0.5 s")
    refused(DX10, NOTES, np.zeros((1, 9000), np.float32), RATE, said="target is silent")
    refused(DX10, NOTES, target, RATE, excerpt=0.0, said="excerpt=0.0 must be a positive number of seconds")
    wrong: dict[str, Any] = {"starts": [[0.5, 0.5]], "parameters": SOUGHT, "error": ParameterError}
    refused(
        DX10,
        NOTES,
        target,
        RATE,
        said=r"starts must have the shape \[N, 3\] \(Octave, Mod Init, Decay\), got \[1, 2\]",
        **wrong,
    )
    with pytest.warns(UserWarning, match="1 of 2 notes begin after the end of the target"):
        matched(target[:, :4000])
