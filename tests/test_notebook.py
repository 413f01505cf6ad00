"""What a cell of a notebook shows, and what `print` does."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

import blackbox_grad as bg
from blackbox_grad.audio_files import example
from blackbox_grad.effects import SelectedEffect
from blackbox_grad.hosts import InProcessHost
from blackbox_grad.inspection import ParameterInspection
from blackbox_grad.matching.notebook import MOST_SECONDS
from blackbox_grad.parameters import Parameter, ParameterSpace

EVIL = "<script>alert(1)</script> & \"'"


class Many(bg.PluginEffect):
    """An effect of 600 parameters, whose names are no HTML."""

    inputs = outputs = 1
    name, sample_rate = EVIL, 44100.0
    parameters = ParameterSpace([Parameter(f"{EVIL} {n}", unit="dB") for n in range(600)])

    def process(self, audio: np.ndarray, values: np.ndarray) -> np.ndarray:
        return audio


class Cell(HTMLParser):
    """Tags and text. It fails at a tag that is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture(scope="module")
def found() -> bg.Match:
    audio, rate = example()
    x = np.tile(audio[:, 20000:50000], 16)  # longer than a cell holds
    target = bg.load("reference:soft-clip", rate).render(x, [0.7, 0.4])
    return bg.match("reference:soft-clip", x, target, rate, renders=12, host=InProcessHost(), fixed={"Level": 0.4})


def shown(found: bg.Match) -> list[object]:
    many = Many()
    effect = SelectedEffect(many, many.parameters, bg.EffectSpec(f"a:{EVIL}"))
    inspected = (ParameterInspection(EVIL, "continuous", True, 3.0), ParameterInspection("B", "toggle", False))
    inspection = bg.Inspection(EVIL, EVIL, 44100.0, "1 in, 1 out", 0, inspected * 300, notes=(EVIL,))
    return [many.parameters, bg.load("reference:biquad"), bg.load("reference:gain").parameters, effect, inspection, found]


def test_a_repr_is_one_short_line_and_a_cell_is_html_of_escaped_names(found: bg.Match) -> None:
    for thing in shown(found):
        text = repr(thing)
        assert "\n" not in text, text
        assert len(text) < 600, text
        assert text.startswith(f"{type(thing).__name__}(")
        cell = Cell(thing._repr_html_())  # type: ignore[attr-defined]
        assert "script" not in cell.tags
        assert "table" in cell.tags
        if EVIL in text:
            assert EVIL in cell.words


def test_a_match_shows_its_distances_settings_and_players(found: bg.Match) -> None:
    page = found._repr_html_()
    cell = Cell(page)
    for words in ("the whole recording", "the loudest 4 s", "Drive", "held, which means not searched: Level", "renders in"):
        assert words in cell.words
    sources = re.findall(r'src="data:audio/flac;base64,([^"]+)"', page)
    assert len(sources) == 3
    for source, audio in zip(sources, (found.input, found.target, found.audio), strict=True):
        frames, rate = soundfile.read(io.BytesIO(base64.b64decode(source)), always_2d=True)
        assert (rate, frames.T.shape) == (44100, (2, round(MOST_SECONDS * rate)))
        heard, true = frames.T, audio[:, : frames.shape[0]]
        np.testing.assert_allclose(heard / np.abs(heard).max(), true / np.abs(true).max(), atol=1e-3)


def test_without_soundfile_a_match_shows_itself_without_players(found: bg.Match, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "soundfile", None)
    assert "audio" not in Cell(found._repr_html_()).tags


def test_a_match_writes_its_report_and_draws_itself(found: bg.Match, tmp_path: Path) -> None:
    assert found.report(tmp_path / "page.html") == tmp_path / "page.html"
    assert "<audio" in (tmp_path / "page.html").read_text("utf-8")
    figure = found.plot()
    curve, bars = figure.axes
    assert [line.get_label() for line in curve.lines] == ["each step", "best so far"]
    assert [label.get_text().split(":")[0] for label in bars.get_yticklabels()] == ["Drive"]
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_an_inspection_writes_its_report(tmp_path: Path) -> None:
    inspection = bg.Inspection("a:b", "b", 44100.0, "1 in, 1 out", 0, (ParameterInspection("A", "continuous", True),))
    assert inspection.report(tmp_path / "page.html").read_text("utf-8").count("<html") == 1
