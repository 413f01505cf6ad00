"""`make recovery` tells what is found, what is missed, and what cannot be told."""

from __future__ import annotations

import numpy as np

from benchmarks.recovery import EFFECTS, recover, table
from blackbox_grad import InProcessHost, default_host


def test_hidden_settings_are_found_and_what_cannot_be_told_is_named(monkeypatch):
    row = recover("Distortion", 0, default_host(), renders=150)
    assert list(row.errors) == ["drive_db"]
    assert row.missed == []
    # two gains in a row: only their sum is heard
    monkeypatch.setitem(EFFECTS, "gains", "reference:gain | reference:gain | reference:biquad")
    row = recover("gains", 0, InProcessHost(), renders=150)
    assert len(row.untold) == 2
    assert all("Gain" in name for name in row.untold)


def test_what_is_missed_is_named():
    row = recover("Reverb", 0, default_host(), renders=8)
    assert row.missed
    assert row.renders <= 8
    line = table([row]).splitlines()[-1]
    assert row.missed[0] in line
    assert f"| {len(row.errors)} | {sum(np.array(list(row.errors.values())) <= 0.05)} |" in line
