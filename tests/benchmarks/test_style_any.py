"""`make style-any`: the rival finds what it should, and the page counts what was measured."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from blackbox_grad.parameters import Parameter, ParameterSpace

pytest.importorskip("cma", reason="the rival is part of the extra [bench]")


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend("benchmarks")
    import style_any

    return style_any


def item(space: ParameterSpace, goal: list[float]):
    asked = []

    def distances(points):
        asked.append(len(points))
        return np.linalg.norm(points - np.array(goal), axis=1)

    return SimpleNamespace(
        path=SimpleNamespace(effect=SimpleNamespace(parameter_space=space)), seed=3, distances=distances, asked=asked
    )


def test_the_rival_finds_the_least_distance_with_the_renders_it_has(bench) -> None:
    space = ParameterSpace([Parameter("a"), Parameter("b"), Parameter("mode", "stepped", levels=3)])
    one = item(space, [0.3, 0.9, 0.5])
    found = bench.evolved(one, 1000, 32)
    assert found == pytest.approx([0.3, 0.9, 0.5], abs=0.02)
    assert sum(one.asked) <= 1000
    few = item(space, [0.3, 0.9, 0.5])
    bench.evolved(few, 45, None)
    assert sum(few.asked) == 45


def test_a_single_parameter_is_a_problem_too(bench) -> None:
    assert bench.evolved(item(ParameterSpace([Parameter("a")]), [0.7]), 300, None) == pytest.approx([0.7], abs=0.02)


def test_the_page_has_medians_and_counts(bench) -> None:
    import style_any_page

    def judged(ours: float, rival: float | None):
        figures = {"dry": 2.0, "search 300": 2.0 * ours} | ({} if rival is None else {"CMA-ES 4096": 2.0 * rival})
        return {method: dict.fromkeys(style_any_page.JUDGES, value) for method, value in figures.items()}

    rows = [
        {"item": "A/speech/0", "judged": judged(0.2, 0.4)},
        {"item": "A/music/0", "judged": judged(0.4, 0.3)},
        {"item": "B/speech/0", "judged": judged(0.6, None)},
    ]
    text = style_any_page.page(rows, {"A": "x:a", "B": "x:b"})
    assert "| **search 300** | 3 | 0.40 (" in text
    assert "| CMA-ES 4096 | 2 | 0.35 (" in text
    assert "On the 2 items that both have" in text
    assert "nearer to the truth on 1 of them" in text
    assert "| B | 1 | 0.60 | – |" in text
