"""How far a setting could be off without being heard: measured around known settings of real effects."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

from blackbox_grad import EffectSpec, InProcessHost, audio_files, match
from blackbox_grad.losses.by_name import loss_for
from blackbox_grad.matching import sure_words
from blackbox_grad.matching.objective import Objective
from blackbox_grad.matching.sureness import Range, Sureness, renders_for, sureness
from blackbox_grad.parameters import FloatArray, Parameter

GUITAR, RATE = audio_files.example()
GUITAR = np.ascontiguousarray(GUITAR[:, int(0.6 * RATE) : int(1.6 * RATE)])
NOISE = (0.25 * np.random.default_rng(0).standard_normal((2, int(RATE)))).astype(np.float32)


class Known:
    """An effect at known settings, with the target that they make."""

    def __init__(self, address: str, truth: dict[str, float | str], parameters: Any = "trainable", audio: Any = GUITAR) -> None:
        self.host, self.audio = InProcessHost(), audio
        self.info = self.host.open(EffectSpec.of(address, RATE, parameters))
        self.space = self.info.parameters
        self.truth = self.space.snap(self.space.point(truth))
        self.target = torch.from_numpy(self.render(self.truth))
        self.loss = loss_for("mrstft", self.target, RATE)

    def render(self, point: FloatArray) -> Any:
        return self.host.render_batch(self.info.spec, self.audio[None], point[None])[0][0]

    def sure(self, limit: int, at: FloatArray | None = None) -> Sureness | None:
        objective = Objective(self.info.spec, self.host, self.audio, self.loss)
        objective.evaluate((self.truth if at is None else at)[None])
        found = sureness(objective, limit)
        assert objective.renders <= limit + 1
        assert objective.best_point.tolist() == (self.truth if at is None else at).tolist()
        return found

    def distance(self, point: FloatArray) -> float:
        """From the truth."""
        with torch.no_grad():
            return float(self.loss(torch.from_numpy(self.render(point))[None])[0])

    def with_one(self, name: str, value: float) -> FloatArray:
        point = self.truth.copy()
        point[self.space.names.index(name)] = value
        return point


CASES = [
    ("pedalboard-builtin:Compressor", {"threshold_db": "-30dB", "ratio": "4 native"}),
    ("pedalboard-builtin:LadderFilter", {"cutoff_hz": "900Hz", "resonance": "0.4 normalised"}),
    ("pedalboard-builtin:Limiter", {"threshold_db": "-20dB"}),
    ("pedalboard-builtin:PeakFilter", {"gain_db": "9dB", "cutoff_frequency_hz": "1500Hz"}),
    ("pedalboard:ZamCompX2.vst3", {"Threshold": "-30dB", "Ratio": "4 native"}),
]
FEW = {"pedalboard:ZamCompX2.vst3": ["Threshold", "Ratio", "Makeup"]}


@pytest.mark.parametrize(("address", "truth"), CASES)
def test_the_ends_of_a_range_are_not_heard_and_the_next_values_are(address: str, truth: dict[str, float | str]) -> None:
    known = Known(address, truth, FEW.get(address, "trainable"))
    found = known.sure(400)
    assert found is not None
    assert [r.name for r in found.ranges] == list(known.space.names)
    heard = 0
    for r, value in zip(found.ranges, known.truth, strict=True):
        assert r.low <= value <= r.high
        for end in (r.low, r.high, *r.levels):
            assert known.distance(known.with_one(r.name, end)) <= 1.01 * found.threshold
        for end in (end for end in (r.low_heard, r.high_heard) if end is not None):
            assert known.distance(known.with_one(r.name, end)) > 0.99 * found.threshold
            heard += 1
    assert heard


@pytest.mark.parametrize(("address", "truth"), CASES[:1] + CASES[3:4])
def test_an_end_is_near_the_threshold(address: str, truth: dict[str, float | str]) -> None:
    """A range is not narrower than it must be: most of the way to what is heard is in it."""
    known = Known(address, truth)
    found = known.sure(400)
    assert found is not None
    sides = [
        abs(end - value) / abs(heard - value)
        for r, value in zip(found.ranges, known.truth, strict=True)
        for end, heard in ((r.low, r.low_heard), (r.high, r.high_heard))
        if heard is not None
    ]
    assert np.median(sides) > 0.8


def test_a_dead_band_says_that_it_is_not_heard() -> None:
    known = Known("pedalboard-builtin:PeakFilter", {"gain_db": "0dB"})
    found = known.sure(200)
    assert found is not None
    audible = {r.name: r.audible for r in found.ranges}
    assert audible == {"cutoff_frequency_hz": False, "gain_db": True, "q": False}


def test_levels_that_sound_alike_are_named() -> None:
    """What a limiter does with peaks is not heard where there are none to limit; which way a filter turns is."""
    limiter = Known("pedalboard-builtin:BrickwallLimiter", {"ceiling_db": "0dB"}).sure(200)
    assert limiter is not None
    true_peak = limiter.ranges[-1]
    assert (true_peak.name, len(true_peak.levels), true_peak.audible) == ("true_peak", 1, False)
    known = Known("pedalboard-builtin:LadderFilter", {"cutoff_hz": "900 Hz"})
    ladder = known.sure(200)
    assert ladder is not None
    mode = ladder.ranges[0]
    assert (mode.levels, mode.audible) == ((), True)
    assert min(known.distance(known.with_one("mode", level)) for level in (0.2, 0.4, 0.6, 0.8, 1.0)) > ladder.threshold


def test_a_compressor_of_steady_sound_trades_its_threshold_for_its_makeup() -> None:
    known = Known("pedalboard:ZamCompX2.vst3", {"Threshold": "-30dB", "Makeup": "6dB"}, ["Threshold", "Makeup"], NOISE)
    found = known.sure(150)
    assert found is not None
    (trade,) = found.trades
    assert set(trade.names) == {"Threshold", "Makeup"}
    for point in trade.points:
        assert known.distance(point) <= 1.01 * found.threshold
    threshold, makeup = found.ranges
    assert threshold.trades == ("Makeup",)
    assert threshold.low_traded is not None
    assert threshold.high_traded is not None
    assert threshold.high_traded - threshold.low_traded > 3 * (threshold.high - threshold.low)
    # a lower threshold needs more makeup
    assert np.corrcoef(trade.points.T)[0, 1] < -0.9
    assert makeup.audible


def test_one_of_many_answers_is_said_to_be_one() -> None:
    """Settings of a trade, found in place of those that made the target: the ranges reach toward these, along the trade."""
    known = Known("pedalboard:ZamCompX2.vst3", {"Threshold": "-30dB", "Makeup": "6dB"}, ["Threshold", "Makeup"], NOISE)
    first = known.sure(150)
    assert first is not None
    answer = first.trades[0].points[0 if abs(first.trades[0].points[0] - known.truth).max() > 0.01 else -1]
    found = known.sure(150, at=answer)
    assert found is not None
    assert found.trades
    towards = np.sign(known.truth - answer)
    for r, value, direction in zip(found.ranges, answer, towards, strict=True):
        end = r.high_traded if direction > 0 else r.low_traded
        assert end is not None
        assert (end - value) * direction > (r.high - r.low)


def test_few_renders_are_not_enough() -> None:
    known = Known("pedalboard-builtin:Compressor", {"threshold_db": "-30dB"})
    assert known.sure(30) is None
    for limit in (8, 60, 100, 200, 600, 3000):
        kept = renders_for(known.space, limit)
        assert kept <= limit // 6
        assert (known.sure(kept) is not None) == (kept > 0)  # what is kept suffices; else the search has all renders


def test_a_match_says_how_sure_it_is(tmp_path: Any) -> None:
    known = Known("pedalboard-builtin:LadderFilter", {"cutoff_hz": "900Hz", "resonance": "0.4 normalised"})
    found = match(
        known.info.spec.address,
        known.audio,
        known.target,
        RATE,
        parameters=["cutoff_hz", "resonance"],
        fixed={"drive": 0.0},
        renders=300,
        host=known.host,
    )
    assert found.sureness is not None
    assert found.renders <= 300
    words = sure_words.could_be(found)
    assert list(words) == ["cutoff_hz", "resonance"]
    assert words["cutoff_hz"].endswith("Hz")
    data = json.loads(json.dumps(found.to_json()))["sureness"]
    assert [row["name"] for row in data["parameters"]] == list(words)
    page = found.report(tmp_path / "page.html").read_text()
    shown = found._repr_html_()
    for text in words.values():
        assert text in page
        assert text in shown
    few = match(known.info.spec.address, known.audio, known.target, RATE, parameters="continuous", renders=12, host=known.host)
    assert few.sureness is None
    assert sure_words.could_be(few) == {}
    assert sure_words.sentence(few) == ""


DECIBELS = Parameter("Gain", minimum=-20.0, maximum=20.0, unit="dB")


@pytest.mark.parametrize(
    ("found", "parameter", "text"),
    [
        (Range("Gain", 0.49, 0.51, 0.4, 0.6), DECIBELS, "± 0.4 dB"),
        (Range("Gain", 0.3, 0.51, 0.29, 0.6), DECIBELS, "-8 to 0.4 dB"),
        (Range("Gain", 0.0, 1.0), DECIBELS, "not audible here"),
        (Range("Gain", 0.5, 0.5, 0.49, 0.51), DECIBELS, "less than ± 0.4 dB"),
        (
            Range("Gain", 0.49, 0.51, 0.4, 0.6, trades=("Makeup",), low_traded=0.1, high_traded=0.9),
            DECIBELS,
            "-16 to 16 dB, trades with Makeup",
        ),
        (Range("Mode", 0.5, 0.5, 0.0, None, (1.0,)), Parameter("Mode", "stepped", levels=3, choices=("A", "B", "C")), "or C"),
        (Range("On", 1.0, 1.0, 0.0, None), Parameter("On", "toggle"), "only this"),
    ],
)
def test_words(found: Range, parameter: Parameter, text: str) -> None:
    assert sure_words._of(found, parameter, 1.0 if parameter.kind == "toggle" else 0.5) == text
