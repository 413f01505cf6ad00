"""From rows to tables and figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from benchmarks.estimators.methods import Method
from benchmarks.estimators.progress import COUNTS, LEVELS
from benchmarks.estimators.results import Row

#: What the runs of a method are ranked by: the mean logarithm of its relative losses after these many renders …
_RANKED = (100, 300, 1000)

#: … in which losses below this count as equal.
_ENOUGH = 1e-3


@dataclass
class Progress:
    """The runs of one method with one step size a task.

    Attributes:
        method: which.
        rate: the step size; NaN where each task has its own.
        losses: `[N, len(COUNTS)]`: relative losses on `N` tasks.
        reached: `[N, len(LEVELS)]`: renders to reach a level; infinity where it never was.
    """

    method: Method
    rate: float
    losses: NDArray[np.float64]
    reached: NDArray[np.float64]


def by_method(rows: Sequence[Row], tasks: Sequence[str], per_task: bool = False) -> list[Progress]:
    """Every method that has been run on all of `tasks`, with its best step size: one for all tasks, or one for each task."""
    runs: dict[Method, dict[tuple[str, float], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        runs[Method(row["method"], row["kind"])][row["task"], float(row["rate"])].append(row)
    found = []
    for method, cells in runs.items():
        rates = sorted({rate for _, rate in cells})
        if not all((task, rate) in cells for task in tasks for rate in rates):
            continue
        losses = np.array([[_median(cells[t, r], "loss_", COUNTS) for t in tasks] for r in rates])  # [rates, N, counts]
        reached = np.array([[_median(cells[t, r], "to_", LEVELS) for t in tasks] for r in rates])
        score = np.log(losses[:, :, [COUNTS.index(c) for c in _RANKED]].clip(_ENOUGH)).mean(axis=2)  # [rates, N]
        if per_task:
            best = score.argmin(axis=0)
            each = np.arange(len(tasks))
            found.append(Progress(method, float("nan"), losses[best, each], reached[best, each]))
        else:
            index = int(score.mean(axis=1).argmin())
            found.append(Progress(method, rates[index], losses[index], reached[index]))
    return found


def _median(rows: Sequence[Row], prefix: str, columns: Sequence[float]) -> list[float]:
    """Over the seeds."""
    return [float(np.median([row[f"{prefix}{column:g}"] for row in rows])) for column in columns]


def terminal_table(rows: Sequence[Row], tasks: Sequence[str]) -> Table:
    """Medians over the tasks."""
    table = Table(title=f"{len(tasks)} tasks, medians; renders count the forward ones", title_justify="left")
    table.add_column("method")
    table.add_column("probes")
    for heading in ("rate", *(f"loss@{n}" for n in _RANKED), *(f"to {level:.0%}" for level in LEVELS), "reach 20%", "wins"):
        table.add_column(heading, justify="right")
    found = by_method(rows, tasks)
    order = sorted(found, key=lambda p: np.log(p.losses.clip(_ENOUGH)).mean())
    at300 = COUNTS.index(300)
    lowest = np.min([p.losses[:, at300] for p in found], axis=0) if found else np.array([])
    for p in order:
        table.add_row(
            p.method.name.rpartition(".")[2]
            if ":" not in p.method.name
            else p.method.name.replace("benchmarks.estimators.", ""),
            p.method.kind,
            f"{p.rate:g}" if p.rate else "",
            *(f"{np.median(p.losses[:, COUNTS.index(n)]):.3f}" for n in _RANKED),
            *(_renders(np.median(p.reached[:, i])) for i in range(len(LEVELS))),
            f"{np.isfinite(p.reached[:, 1]).mean():.0%}",
            str(int((p.losses[:, at300] <= lowest * 1.02).sum())),
        )
    return table


def _renders(count: float) -> str:
    return f"{count:.0f}" if np.isfinite(count) else f"> {COUNTS[-1]}"
