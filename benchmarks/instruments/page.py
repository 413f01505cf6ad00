"""The page of the bench."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from benchmarks.instruments.methods import KEPT, MATCH, PRESET, RENDERS, SEARCHERS
from benchmarks.instruments.rows import Row
from benchmarks.instruments.tasks import NOTES, RATE
from blackbox_grad.files import replacing

#: What is compared: the searchers, and the best preset as it is.
METHODS = (*SEARCHERS, PRESET)


class Results:
    """The losses relative to the default patch's: of each task and method the median over the seeds."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self.rows = list(rows)
        whole = [self._by(method, "task") for method in SEARCHERS]
        self.tasks = [task for task in dict.fromkeys(row["task"] for row in self.rows) if all(task in own for own in whole)]

    def _by(self, method: str, column: str) -> set[str]:
        return {row[column] for row in self.rows if row["method"] == method}

    def loss(self, task: str, method: str, column: str = "loss") -> float:
        method, column = (MATCH, "preset") if method == PRESET else (method, column)
        found = [row[column] / row["default"] for row in self.rows if row["task"] == task and row["method"] == method]
        return float(np.median(found))

    def of(self, tasks: list[str], method: str, column: str = "loss") -> list[float]:
        return [self.loss(task, method, column) for task in tasks]

    def better(self, tasks: list[str], rivals: Iterable[str]) -> float:
        """Part of the tasks on which `match` has a lower loss than each of these."""
        return float(np.mean([all(self.loss(t, MATCH) < self.loss(t, rival) for rival in rivals) for t in tasks]))

    def seeds(self, tasks: list[str], method: str) -> str:
        """How many runs each of the tasks has: "3", or "1 to 3"."""
        counts = {sum(row["task"] == task and row["method"] == method for row in self.rows) for task in tasks}
        return " to ".join(str(count) for count in sorted({min(counts), max(counts)}))


def instrument(task: str) -> str:
    return task.split(" / ")[0]


def examples(results: Results) -> dict[str, str]:
    """The tasks on which `match` leaves the least of the default patch's loss, a usual part, and the most."""
    ranked = sorted(results.tasks, key=lambda task: results.loss(task, MATCH))
    return {"best": ranked[0], "usual": ranked[len(ranked) // 2], "worst": ranked[-1]}


def write(page: Path, results: Results) -> None:
    with replacing(page) as temporary:
        temporary.write_text(text_of(results), "utf-8")


def text_of(results: Results) -> str:
    tasks = results.tasks
    names = list(dict.fromkeys(map(instrument, tasks)))
    median, cma = (float(np.median(results.of(tasks, method))) for method in (MATCH, "CMA"))
    return _PAGE.format(
        renders=RENDERS,
        tasks=len(tasks),
        presets=sum("/ preset" in task for task in tasks),
        random=sum("/ random" in task for task in tasks),
        instruments=", ".join(names),
        rate=RATE,
        seconds=NOTES.seconds,
        median=median,
        of_cma=median / cma,
        over_preset=100 * results.better(tasks, [PRESET]),
        over_all=100 * results.better(tasks, [method for method in METHODS if method != MATCH]),
        methods=_table("method", [(method, _method(results, method)) for method in METHODS], _METHOD_COLUMNS),
        by_instrument=_table("instrument", [(name, _instrument(results, name)) for name in names], ("tasks", *METHODS)),
        remark=_AMSYNTH if "amsynth" in names else "",
        examples="\n".join(_example(results, name, task) for name, task in examples(results).items()),
        by_task=_table("task", [(task, [f"{results.loss(task, m):.3f}" for m in METHODS]) for task in tasks], METHODS),
    )


_METHOD_COLUMNS = (
    "seeds",
    *(f"after {renders}" for renders in KEPT),
    f"after {RENDERS:_}".replace("_", " "),
    "lower quartile",
    "upper quartile",
    "`match` is better",
)


def _method(results: Results, method: str) -> list[str]:
    courses = [float(np.median(results.of(results.tasks, method, f"after {renders}"))) for renders in KEPT]
    final = results.of(results.tasks, method)
    beaten = "" if method == MATCH else f"{100 * results.better(results.tasks, [method]):.0f} %"
    seeds = "" if method == PRESET else results.seeds(results.tasks, method)
    return [seeds, *(f"{v:.3f}" for v in (*courses, np.median(final), *np.percentile(final, (25, 75)))), beaten]


def _instrument(results: Results, name: str) -> list[str]:
    tasks = [task for task in results.tasks if instrument(task) == name]
    medians = (float(np.median(results.of(tasks, method))) for method in METHODS)
    return [str(len(tasks)), *(f"{median:.3f}" for median in medians)]


def _example(results: Results, name: str, task: str) -> str:
    return f"- [{task}](../reports/instrument-{name}.html), the {name}: {results.loss(task, MATCH):.3f}"


def _table(first: str, rows: list[tuple[str, list[str]]], columns: Iterable[str]) -> str:
    heads = list(columns)
    lines = [f"| {first} | {' | '.join(heads)} |", f"| --- |{' ---: |' * len(heads)}"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows)])


#: Of amsynth's column.
_AMSYNTH = """
amsynth has to be created anew for every render, which makes it seventy times as slow: it has one seed. Its noise and its random
waves are held off, as no render repeats them.
"""

_PAGE = """# Patches found by `match`

This page is generated by `make instruments`. An instrument at a hidden patch plays two notes, {seconds:g} s at {rate:g} Hz, and
`match` looks for a patch that sounds like it, in {renders} renders. {tasks} tasks on {instruments}: {presets} hidden patches are
factory presets, {random} are drawn uniformly from all settings. No hidden preset of an instrument is among the presets that the
searches of any of its tasks start from.

- The median loss that `match` leaves is **{median:.3f}** of the default patch's, **{of_cma:.2f}** of what CMA leaves.
- It is lower than the nearest preset's on **{over_preset:.0f} %** of the tasks, and lower than every rival's on
  **{over_all:.0f} %**.

Every searcher begins at the best of the default patch and the presets, whose renders count. CMA is nevergrad's, with its own
defaults; DFO-LS gets the residuals of the loss, as `match` does, and begins again at random patches where it has converged;
*random* renders Sobol points. *Nearest preset* is the best of the default patch and the presets, as it is. The loss is `tones`,
relative to the default patch's. A number is the median over the seeds of a task, and then over tasks.

{methods}

The columns are medians over all tasks after so many renders, the quartiles after all, and the part of the tasks on which `match`
leaves a lower loss.

## Listen

Three reports play the start, which is the nearest preset, the target, and the match in turn:

{examples}

## By instrument

{by_instrument}
{remark}
## By task

{by_task}
"""
