"""`blackbox-grad inspect` of an effect that opens and cannot render."""

from __future__ import annotations

import json

import pytest

from blackbox_grad.cli import main

pytestmark = pytest.mark.usefixtures("third_party")


def inspected(capsys, *options: str) -> tuple[str, str]:
    """What it prints, and what it says about the failure."""
    with pytest.raises(SystemExit) as ended:
        main(["inspect", "faulty:abort-always", *options])
    printed = capsys.readouterr()
    assert ended.value.code == 1
    return printed.out, printed.err


def test_an_effect_whose_render_aborts_is_shown_and_that_is_said(capsys):
    out, err = inspected(capsys)
    assert "Level" in out
    assert "its render fails" in out
    assert "more than" not in out
    assert "a render crashed with SIGABRT in 2 host processes" in " ".join(err.split())


def test_json_tells_it_too(capsys):
    out, _ = inspected(capsys, "--json")
    data = json.loads(out)
    assert data["seconds_per_second"] is None
    assert "crashed with SIGABRT" in data["error"]


def test_a_measurement_ends_with_the_same_words(capsys):
    _, err = inspected(capsys, "--deep")
    assert "a render crashed with SIGABRT in 2 host processes" in " ".join(err.split())
