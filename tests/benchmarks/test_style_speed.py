"""`make style-speed` writes a page with what it measured, and a step's parts are parts of it."""

from __future__ import annotations

import pytest

from benchmarks import style_speed
from blackbox_grad_adapters.style_matching.data.recordings import Tracks, in_folder

REVERB = "pedalboard-builtin:Reverb"


@pytest.mark.slow
def test_parts_of_a_step_are_parts_of_it(tmp_path):
    recordings = tmp_path / "recordings" / "guitar"
    recordings.mkdir(parents=True)
    clip, rate = style_speed.audio_files.example()
    for number in range(2):
        style_speed.audio_files.write(recordings / f"{number}.wav", clip, rate)
    tracks = Tracks(in_folder(recordings.parent), 24_000, folder=tmp_path)
    with style_speed.TimedPool(1) as pool:
        step = style_speed.step_of(REVERB, tracks, pool, 3, tmp_path)
    assert step.data > 0
    assert step.plugin > 0
    assert step.data + step.plugin < step.whole


def test_the_page_says_what_was_measured_and_what_is_asked_for():
    steps = {f"{style_speed.shipped.MDA}/Delay": style_speed.Step(0.01, 0.03, 0.1), REVERB: style_speed.Step(0.01, 0.05, 0.1)}
    page = style_speed.page(steps, dict.fromkeys(steps, 0.25), 3.0, "A machine.")
    assert "must be 40% at most; the\nlargest is pedalboard-builtin:Reverb's, 50%" in page
    assert "| Delay | 100 ms | 10% | **30%** | 60% |" in page
    assert "| Delay | **0.25 s** |" in page
    assert "[All of them](style-weights.md)" in page
