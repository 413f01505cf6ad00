"""The command line with presets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Capture, fail_here, succeed_here

from blackbox_grad import Notes, audio_files, load

DX10 = "dawdreamer:http://drobilla.net/plugins/mda/DX10"

pytestmark = pytest.mark.plugins


def test_inspect_lists_presets(capsys: Capture, tmp_path: Path) -> None:
    shown = succeed_here(capsys, "inspect", DX10, "--presets", "--host", "in-process")
    assert "Bright E.Piano" in shown
    assert "render one" in shown
    found = json.loads(succeed_here(capsys, "inspect", DX10, "--presets", "--json", "--host", "in-process"))
    assert (len(found["presets"]), found["skipped"]) == (32, [])
    assert found["presets"][0]["settings"]["Coarse"] == pytest.approx(0.842)
    assert "No presets" in succeed_here(capsys, "inspect", DX10, "--presets", "--folder", tmp_path, "--host", "in-process")
    assert "no such folder" in fail_here(capsys, "inspect", DX10, "--folder", tmp_path / "a", "--host", "in-process")


def test_render_takes_the_name_of_a_preset(capsys: Capture, tmp_path: Path) -> None:
    out = tmp_path / "out.wav"
    succeed_here(
        capsys, "render", DX10, out, "--note", "C4", "--seconds", "0.2", "--preset", "harpsichord", "--host", "in-process"
    )
    sound, _ = audio_files.read(out)
    with load(DX10, parameters="all") as effect:
        expected = effect.render(Notes.one("C4", 0.2), effect.presets().named("Harpsichord").p)
    assert np.allclose(sound, expected, atol=1e-3)
    said = fail_here(capsys, "render", DX10, out, "--note", "C4", "--preset", "harpsi", "--host", "in-process")
    assert "no preset 'harpsi'; did you mean 'Harp" in said
