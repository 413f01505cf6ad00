"""The report: one self-contained page, which escapes all names."""

from __future__ import annotations

import base64
import dataclasses
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blackbox_grad.audio_files import example
from blackbox_grad.errors import AudioError
from blackbox_grad.hosts import InProcessHost
from blackbox_grad.matching import Match, match
from blackbox_grad.matching.loss_curve import loss_curve
from blackbox_grad.matching.report import render_report, write_report
from blackbox_grad.matching.wording import phase
from blackbox_grad.parameters import ParameterSpace
from blackbox_grad.reports import MOST_SECONDS, figures


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def audio() -> np.ndarray:
    return example()[0][:, 20000:50000]


@pytest.fixture(scope="module")
def target(audio: np.ndarray) -> np.ndarray:
    return (np.tanh(3.0 * audio) * 0.5).astype(np.float32)


@pytest.fixture(scope="module")
def found(audio: np.ndarray, target: np.ndarray) -> Match:
    return match("reference:soft-clip", audio, target, renders=60, host=InProcessHost())


def decode(source: str) -> tuple[np.ndarray, int]:
    kind, _, data = source.partition(";base64,")
    assert kind == "data:audio/flac"
    frames, rate = soundfile.read(io.BytesIO(base64.b64decode(data)), always_2d=True)
    return frames.T, rate


def test_the_page_loads_nothing(found: Match, audio: np.ndarray, target: np.ndarray) -> None:
    page = Page(render_report(found, audio, target))
    loads = [value for _, attributes in page.tags for name, value in attributes.items() if name in ("src", "href", "srcset")]
    assert loads
    assert all(load.startswith("data:") for load in loads)
    assert "url(" not in page.words
    assert "@import" not in page.words
    assert not page.all("link")


def test_the_three_recordings_are_in_the_page(found: Match, audio: np.ndarray, target: np.ndarray) -> None:
    players = Page(render_report(found, audio, target)).all("audio")
    assert [player["id"] for player in players] == ["audio-input", "audio-target", "audio-match"]
    for player, recording in zip(players, (audio, target, found.audio), strict=True):
        heard, rate = decode(player["src"])
        assert rate == found.sample_rate
        np.testing.assert_allclose(heard, recording, atol=2**-15)


def test_long_recordings_are_cut_and_the_page_says_so(found: Match) -> None:
    long = np.random.default_rng(0).uniform(-0.1, 0.1, (1, int(40 * found.sample_rate))).astype(np.float32)
    page = Page(render_report(dataclasses.replace(found, audio=long), long, long))
    assert decode(page.all("audio")[0]["src"])[0].shape[1] == MOST_SECONDS * found.sample_rate
    assert "first 30 s" in page.words


def test_loud_recordings_are_turned_down_alike(found: Match, audio: np.ndarray) -> None:
    loud = audio * 4.0
    page = Page(render_report(dataclasses.replace(found, audio=loud), audio, loud))
    quiet, full = (decode(player["src"])[0] for player in page.all("audio")[:2])
    np.testing.assert_allclose(4.0 * quiet, full, atol=5 * 2**-15)
    assert "exceeds full scale" in page.words


def test_more_channels_than_two_are_heard_in_mono(found: Match, audio: np.ndarray) -> None:
    wide = np.concatenate([audio, audio])
    page = render_report(dataclasses.replace(found, audio=wide), wide, wide)
    assert decode(Page(page).all("audio")[0]["src"])[0].shape[0] == 1


def test_names_are_text_and_never_markup(found: Match, audio: np.ndarray, target: np.ndarray) -> None:
    evil = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
    usual = Page(render_report(found, audio, target, command="c"))
    space = ParameterSpace([dataclasses.replace(p, name=evil, unit=evil) for p in found.info.parameters.everything])
    info = dataclasses.replace(found.info, name=evil, layout=evil, parameters=space)
    spec = dataclasses.replace(found.spec, address=evil)
    history = [dataclasses.replace(step, phase=evil) for step in found.history]
    bad = dataclasses.replace(
        found, info=info, spec=spec, loss_name=evil, method=evil, method_reason=evil, notes=[evil], history=history
    )
    page = Page(render_report(bad, audio, target, command=evil))
    assert page.words.count(evil) >= 6
    for tag in ("img", "script"):
        assert [sorted(a) for a in page.all(tag)] == [sorted(a) for a in usual.all(tag)]


def test_the_settings_are_there_with_native_values(found: Match, audio: np.ndarray, target: np.ndarray) -> None:
    truth = {"Drive": 0.25}
    words = Page(render_report(found, audio, target, truth=truth)).words
    for row in found.settings():
        assert row["name"] in words
        assert row["native"] in words
    assert found.info.parameters.everything[0].text(0.25) in words


def test_pictures_and_drawings_have_alternative_texts(found: Match, audio: np.ndarray, target: np.ndarray) -> None:
    page = Page(render_report(found, audio, target))
    assert len(page.all("img")) == 4
    assert all(picture["alt"] for picture in page.all("img"))
    assert all(drawing["aria-label"] for drawing in page.all("svg"))


def test_the_report_is_written_whole_or_not_at_all(
    tmp_path: Path, found: Match, audio: np.ndarray, target: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    write_report(path, found, audio, target)
    before = path.read_text("utf-8")
    monkeypatch.setattr(Path, "write_text", lambda self, *_, **__: (self.touch(), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        write_report(path, found, audio, target)
    assert path.read_text("utf-8") == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["report.pdf", "no/report.html"])
def test_a_path_that_cannot_be_written_is_refused(
    tmp_path: Path, name: str, found: Match, audio: np.ndarray, target: np.ndarray
) -> None:
    with pytest.raises(AudioError, match=r"suffix|does not exist"):
        write_report(tmp_path / name, found, audio, target)


@pytest.mark.parametrize("frequency", [110.0, 1000.0, 9000.0])
@pytest.mark.parametrize("rate", [22050.0, 48000.0])
def test_a_sine_lights_its_band(frequency: float, rate: float) -> None:
    sine = np.sin(2 * np.pi * frequency * np.arange(int(rate)) / rate)[None].astype(np.float32)
    powers = figures.spectrogram(sine, rate, sine.shape[1]).mean(axis=1)
    edges = figures.band_edges(rate)
    centre = np.sqrt(edges[:-1] * edges[1:])[powers.argmax()]
    assert abs(centre - frequency) < max(0.03 * frequency, rate / 2048)


def test_spectrograms_of_recordings_padded_alike_have_one_shape() -> None:
    short, long = np.zeros((1, 1000), np.float32), np.zeros((2, 500_000), np.float32)
    shapes = {figures.spectrogram(a, 44100.0, 500_000).shape for a in (short, long)}
    assert len(shapes) == 1
    bands, frames = shapes.pop()
    assert bands == figures.BANDS
    assert 0.5 * figures.FRAMES < frames <= figures.FRAMES


def test_the_loss_curve_stays_in_its_frame_and_falls(found: Match) -> None:
    curve = loss_curve(found.history)
    assert curve is not None
    best = np.array([[float(v) for v in pair.split(",")] for pair in curve.best.split()])
    assert best.min() >= 0
    assert (best.max(axis=0) <= (curve.width, curve.height)).all()
    assert (np.diff(best[:, 1]) >= 0).all()  # y points down: the best loss never rises
    assert [name for name, _, _ in curve.phases] == list(dict.fromkeys(phase(step.phase) for step in found.history))


def test_a_history_of_one_step_has_no_curve(found: Match) -> None:
    assert loss_curve(found.history[:1]) is None
    assert loss_curve([]) is None


@pytest.mark.parametrize(
    ("rate", "texts"), [(44100, ["100 Hz", "1 kHz", "10 kHz"]), (22050, ["100 Hz", "1 kHz"]), (2000, ["100 Hz"])]
)
def test_no_mark_of_the_frequency_axis_is_cut(rate: int, texts: list[str]) -> None:
    assert [tick.text for tick in figures.frequency_ticks(rate)] == texts
