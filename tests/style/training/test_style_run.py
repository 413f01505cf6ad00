"""The command that trains the style encoder, where there is nothing to train on."""

from pathlib import Path

import pytest

from tests.command_line import Capture, fail_here


@pytest.mark.parametrize("effect", ["nothing-has-this-name", "rubberband"])
def test_nothing_to_train_on_is_said_at_once(effect: str, tmp_path: Path, capsys: Capture) -> None:
    said = fail_here(capsys, "style", "train-style-encoder", "-o", tmp_path / "run", "--effect", effect)
    assert "no examples of effects" in " ".join(said.split())
    assert "not held out" in " ".join(said.split())
