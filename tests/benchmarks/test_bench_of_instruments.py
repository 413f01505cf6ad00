"""`make instruments` looks for hidden patches with several methods, goes on where it ended, and writes a page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.instruments import cells, methods, page, rows
from benchmarks.instruments.tasks import INSTRUMENTS, NOTES, RATE, Task, other_tasks, tasks_of
from blackbox_grad import InProcessHost

pytestmark = pytest.mark.plugins


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return tasks_of("EPiano", InProcessHost())


def test_hidden_patches_are_heard_and_no_start_is_one_of_them(tasks: list[Task]) -> None:
    host, what = InProcessHost(), INSTRUMENTS["EPiano"]
    assert len(tasks) == what.presets + what.random
    for task in tasks:
        y, _ = host.render_batch(what.spec, NOTES.packed(RATE)[None], task.hidden[None])
        assert np.array_equal(task.target, y[0])
        assert np.square(y).mean() > 1e-5
        assert len(task.starts)
    for task in tasks:  # neither in its own starts nor in another task's
        assert min(np.abs(task.hidden - start).max() for start in tasks[0].starts) > 1e-3
    others = other_tasks("EPiano", host, seed=0)
    assert len(others) == len(tasks)
    assert all(np.abs(task.hidden - other.hidden).max() > 1e-3 for task in tasks for other in others)


def test_the_file_of_hidden_patches_has_those_of_every_instrument() -> None:
    lines = (Path(cells.__file__).parent / "hidden.csv").read_text("utf-8").splitlines()
    for name, what in INSTRUMENTS.items():
        counts = [sum(line.startswith(f"{name} / {kind} ") for line in lines) for kind in ("preset", "random")]
        assert counts == [what.presets, what.random]
    known = {line.split(",")[0] for line in lines}
    assert {row["task"] for row in rows.read(rows.COMMITTED)} <= known


def test_every_method_uses_the_same_renders_and_starts(tasks: list[Task], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(methods, "RENDERS", 40)
    found = {method: methods.run(tasks[0], method, 0, InProcessHost()) for method in methods.SEARCHERS}
    for row in found.values():
        assert row["renders"] <= 40
        assert row["loss"] <= row["preset"] <= row["default"]
    assert len({row["preset"] for row in found.values()}) == 1


def test_the_first_seed_of_everything_comes_first() -> None:
    seeds = [seed for *_, seed in cells.cells(["EPiano", "amsynth"], 3)]
    first = seeds.index(1)
    assert set(seeds[:first]) == {0}
    assert 0 not in seeds[first:]


def row(task: str, method: str, seed: int, loss: float) -> rows.Row:
    course = {f"after {renders}": loss + 0.1 for renders in methods.KEPT}
    return {"task": task, "method": method, "seed": seed, "default": 2.0, "preset": 1.0, **course, "loss": loss} | {
        "renders": 1000,
        "seconds": 1.0,
    }


def test_rows_are_kept_and_the_page_says_who_is_better(tmp_path: Path) -> None:
    file = tmp_path / "results.csv"
    losses = {"match": (0.2, 0.4, 0.6), "CMA": (0.8, 0.8, 0.8), "DFO-LS": (0.1, 0.1, 0.1), "random": (1.0, 1.0, 1.0)}
    for task in ("JX10 / preset A", "DX10 / random 0"):
        for method, of_seeds in losses.items():
            for seed, loss in enumerate(of_seeds):
                rows.append(file, row(task, method, seed, loss))
    rows.append(file, row("DX10 / random 1", "match", 0, 0.5))  # no rival yet
    results = page.Results(rows.read(file))
    assert results.tasks == ["JX10 / preset A", "DX10 / random 0"]
    assert results.loss("JX10 / preset A", "match") == pytest.approx(0.2)  # the median of the seeds, of the default's
    assert results.better(results.tasks, ["CMA", "random"]) == 1.0
    assert results.better(results.tasks, ["CMA", "DFO-LS"]) == 0.0
    text = page.text_of(results)
    assert "**0.200** of the default patch's, **0.50** of what CMA leaves" in text
    assert "**100 %** of the tasks, and lower than every rival's on\n  **0 %**" in text
    assert "| JX10 / preset A | 0.200 | 0.400 | 0.050 | 0.500 | 0.500 |" in text
    assert "2 tasks on JX10, DX10: 1 hidden patches are\nfactory presets" in text
