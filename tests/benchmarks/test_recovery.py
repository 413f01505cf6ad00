"""`make recovery` shows which settings are found, which are missed, and which the sound does not determine."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.recovery import EFFECTS, Row, apart, recover, table
from blackbox_grad import InProcessHost, default_host


@pytest.mark.slow
def test_hidden_settings_are_found_and_undetermined_ones_are_named(monkeypatch):
    row = recover("Distortion", 0, default_host(), renders=150)
    assert list(row.errors) == ["drive_db"]
    assert row.missed == []
    # two gains in a row: only their sum is audible
    monkeypatch.setitem(EFFECTS, "gains", "reference:gain | reference:gain | reference:biquad")
    row = recover("gains", 0, InProcessHost(), renders=150)
    assert len(row.undetermined) == 2
    assert all("Gain" in name for name in row.undetermined)


def test_what_is_missed_is_named():
    row = recover("Reverb", 0, default_host(), renders=8)
    assert row.missed
    assert row.renders <= 8
    line = table([row]).splitlines()[-1]
    assert row.missed[0] in line
    assert f"| {len(row.errors)} | {sum(np.array(list(row.errors.values())) <= 0.05)} |" in line


def test_sounds_are_apart_by_their_levels():
    noise = np.random.default_rng(0).standard_normal((1, 30000)).astype(np.float32)
    assert apart(noise, noise) == 0.0
    assert abs(apart(2 * noise, noise) - 6.02) < 0.02


@pytest.mark.slow
def test_the_size_of_a_room_is_found_from_the_defaults():
    row = recover("MDA Ambience", 2, default_host(), renders=1200)
    assert row.errors.keys() >= {"Size", "Mix", "Output"}
    assert row.missed == []


def test_settings_that_sound_the_same_are_shown_as_twins():
    rows = [Row("two filters", seed, {"Q": 0.01}, [], twins, 5e-5, 0.001, 300) for seed, twins in enumerate([["Freq"], []])]
    assert "| 2 | 2 |" in table(rows)
    assert "| none | Freq (seed 0) | none |" in table(rows)
