"""The report of a style match, in a real browser: one play position, switching, and equal loudness."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from blackbox_grad import audio_files
from blackbox_grad_adapters.style_matching.loudness import loudness
from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher
from blackbox_grad_adapters.style_matching.report import write_match_report

DRIVE = "pedalboard-builtin:Distortion"
RATE = 24_000

#: Counts what the page plays: the gain of each source, whether it repeats, and where it begins.
SPY = """
window.started = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (when, offset) {
  window.started.push({ loop: this.loop, offset, seconds: this.buffer.duration });
  return start.call(this, when, offset);
};
const made = AudioContext.prototype.createGain;
window.made = [];
AudioContext.prototype.createGain = function () { const node = made.call(this); window.made.push(node); return node; };
"""


@pytest.fixture(scope="module")
def found():
    audio, rate = audio_files.example()
    audio = audio_files.resample(audio[:1], rate, RATE)
    x, reference = audio[:, : 4 * RATE], 0.1 * np.tanh(8.0 * audio[:, 2 * RATE : 4 * RATE])
    return StyleMatcher.load(DRIVE, "in-process").match(x, reference, RATE), x, reference


@pytest.fixture
def page(browser, found, tmp_path):
    file = tmp_path / "report.html"
    match, x, reference = found
    write_match_report(file, match, x, reference, RATE, "the command")
    context = browser.new_context(offline=True)
    opened = context.new_page()
    opened.set_default_timeout(120_000)  # on a busy machine
    errors = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.add_init_script(SPY)
    opened.goto(file.as_uri())
    yield opened
    assert not errors
    context.close()


def wait_for(page, what):
    """Until an expression is true. Polling in the page would need eval, which the page forbids."""
    deadline = time.monotonic() + 120
    while not page.evaluate(what):
        assert time.monotonic() < deadline, what
        page.wait_for_timeout(50)


def audible(page):
    """The gains of the sources, in their order: input, reference, match."""
    wait_for(page, "window.made.length >= 3")
    page.wait_for_timeout(150)  # the gains glide
    return page.evaluate("window.made.slice(-3).map((node) => node.gain.value)")


def pressed(page):
    return page.locator("[data-hear][aria-pressed=true]").all_inner_texts()


def test_recordings_are_switched_while_they_play_at_one_position_and_one_loudness(page, found):
    match, x, reference = found
    assert page.locator("audio").count() == 3
    assert page.locator(".picture .head").count() == 3
    page.get_by_role("button", name="Play").click()
    assert pressed(page) == ["Match"]
    levels = [loudness(a, RATE) for a in (x, reference, match.y)]
    factors = [10.0 ** ((min(levels) - level) / 20.0) for level in levels]
    assert audible(page) == pytest.approx([0.0, 0.0, factors[2]], abs=0.02)
    page.get_by_role("button", name="Reference").click()
    assert audible(page) == pytest.approx([0.0, factors[1], 0.0], abs=0.02)
    page.keyboard.press("1")
    assert pressed(page) == ["Input"]
    assert audible(page) == pytest.approx([factors[0], 0.0, 0.0], abs=0.02)
    page.get_by_label("equally loud").uncheck()
    assert audible(page) == pytest.approx([1.0, 0.0, 0.0], abs=0.02)
    assert len(page.evaluate("window.started")) % 3 == 0  # nothing but loops of all


def test_a_shorter_reference_repeats_under_one_play_position(page):
    page.locator("#seek").evaluate("(seek) => { seek.value = 0.75; seek.dispatchEvent(new Event('input')); }")
    page.get_by_role("button", name="Play").click()
    wait_for(page, "window.started.length >= 3")
    started = page.evaluate("window.started.slice(0, 3)")
    assert [one["loop"] for one in started] == [False, True, False]
    assert [one["offset"] for one in started] == pytest.approx([3.0, 1.0, 3.0], abs=0.01)
    assert "Reference is shorter, and repeats" in page.content()
    heads = page.locator(".picture .head").evaluate_all("(heads) => heads.map((head) => head.style.left)")
    assert len(set(heads)) == 1


def test_the_gains_are_said(page, found):
    match, *_ = found
    said = json.loads(json.dumps(match.to_json()))
    text = page.inner_text("main")
    assert f"{said['input_gain_db']:+.1f} dB" in text
    assert f"{said['output_gain_db']:+.1f} dB" in text
    assert "as loud as the input" in text
