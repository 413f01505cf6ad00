"""Damaged files and odd arguments: every error at the command line is one sentence and an exit code, for the seeds kept."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import fuzz
import material

sys.path.remove(str(Path(__file__).parent))


@pytest.mark.skipif(sys.platform == "win32", reason="needs an alarm clock for commands that hang")
def test_what_is_kept_keeps_the_law() -> None:
    """In a process of its own, which a library may crash; `make fuzz` tries new seeds for as long as you like."""
    assert fuzz.run(fuzz.kept(), timeout=480) == []


def test_a_seed_draws_the_same_again() -> None:
    for seed in range(20):
        first, second = (
            (material.value(rng), material.damaged(rng, bytes(100)), material.text(rng)) for rng in (Random(seed), Random(seed))
        )
        assert repr(first) == repr(second)


def test_a_command_that_breaks_the_law_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In place of a worker: one that reports, one that crashes, one that is done."""
    (tmp_path / "worker.py").write_text(
        "import os, sys\n"
        "for kind, seed in zip(sys.argv[1::2], sys.argv[2::2]):\n"
        "    print('now', kind, seed, flush=True)\n"
        '    if seed == \'1\': print(\'{"kind": "a", "seed": 1, "what": "a traceback"}\', flush=True)\n'
        "    if seed == '2': os.abort()\n"
        "print('done')\n"
    )
    monkeypatch.setattr(fuzz, "SEEDS", tmp_path / "seeds.txt")
    found = fuzz.run([("a", 0), ("a", 1), ("b", 2), ("a", 3)])
    assert [(one["kind"], one["seed"]) for one in found] == [("a", 1), ("b", 2)]
