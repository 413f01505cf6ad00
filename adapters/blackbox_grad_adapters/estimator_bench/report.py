"""From rows of results to the content of tables and figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from blackbox_grad_adapters.estimator_bench import amortised
from blackbox_grad_adapters.estimator_bench.methods import PUBLISHED, Method
from blackbox_grad_adapters.estimator_bench.progress import COUNTS, LEVELS
from blackbox_grad_adapters.estimator_bench.quality import half
from blackbox_grad_adapters.estimator_bench.results import Row

FloatArray = NDArray[np.float64]

#: Runs of a method are ranked by the mean logarithm of its relative losses after these numbers of renders …
RANKED = (100, 300, 1000)

#: … where losses below this count as equal.
_ENOUGH = 1e-3

#: Losses that differ by less than this factor are a draw.
_DRAW = 1.05

_SEARCH = Method("CMA", "search")


@dataclass
class Progress:
    """The runs of one method, with one step size per task.

    Attributes:
        method: the method.
        rate: the step size; NaN if each task has its own.
        losses: `[N, len(COUNTS)]`: relative losses on `N` tasks.
        reached: `[N, len(LEVELS)]`: renders to reach a level; infinity if it was never reached.
    """

    method: Method
    rate: float
    losses: FloatArray
    reached: FloatArray

    @property
    def score(self) -> float:
        """The mean logarithm of the losses after `RANKED` renders: lower is better."""
        return float(_scores(self.losses).mean())

    def at(self, renders: int) -> FloatArray:
        """`[N]`: the losses after this number of renders."""
        return self.losses[:, COUNTS.index(renders)]

    def to(self, level: float) -> FloatArray:
        """`[N]`: renders to this share of the starting loss."""
        return self.reached[:, LEVELS.index(level)]

    def against(self, other: Progress, renders: int = 300) -> tuple[int, int]:
        """Tasks won and lost."""
        mine, others = self.at(renders).clip(_ENOUGH), other.at(renders).clip(_ENOUGH)
        return int((mine * _DRAW < others).sum()), int((others * _DRAW < mine).sum())

    def relative(self, other: Progress, level: float = 0.2) -> float:
        """The ratio of renders to this level: the median over the tasks that at least one of the two solves."""
        mine, others = self.to(level), other.to(level)
        solved = np.isfinite(mine) | np.isfinite(others)
        return float(np.median(mine[solved] / others[solved])) if solved.any() else float("nan")


def _scores(losses: FloatArray) -> FloatArray:
    """`[…, counts]` -> `[…]`."""
    scores: FloatArray = np.log(losses[..., [COUNTS.index(c) for c in RANKED]].clip(_ENOUGH)).mean(axis=-1)
    return scores


def by_method(rows: Sequence[Row], tasks: Sequence[str], per_task: bool = False) -> list[Progress]:
    """Every method that ran on all of `tasks`, best first, with its best step size: one for all tasks, or one for each."""
    runs: dict[Method, dict[tuple[str, float], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        runs[Method(row["method"], row["kind"])][row["task"], float(row["rate"])].append(row)
    found = []
    for method, cells in runs.items():
        rates = sorted({rate for _, rate in cells})
        if not tasks or not all((task, rate) in cells for task in tasks for rate in rates):
            continue
        losses = np.array([[_median(cells[t, r], "loss_", COUNTS) for t in tasks] for r in rates])  # [rates, N, counts]
        reached = np.array([[_median(cells[t, r], "to_", LEVELS) for t in tasks] for r in rates])
        scores = _scores(losses)  # [rates, N]
        if per_task:
            best, each = scores.argmin(axis=0), np.arange(len(tasks))
            found.append(Progress(method, float("nan"), losses[best, each], reached[best, each]))
        else:
            index = int(scores.mean(axis=1).argmin())
            found.append(Progress(method, rates[index], losses[index], reached[index]))
    return sorted(found, key=lambda p: p.score)


def _median(rows: Sequence[Row], prefix: str, columns: Sequence[float]) -> list[float]:
    """Median over the seeds."""
    return [float(np.median([row[f"{prefix}{column:g}"] for row in rows])) for column in columns]


#: Column headings and the lines below them.
Lines = tuple[list[str], list[list[str]]]


def progress_lines(found: Sequence[Progress]) -> Lines:
    """Medians over the tasks."""
    headings = ["method", "probes", "step", *(f"loss {n}" for n in RANKED), *(f"to {level:.0%}" for level in LEVELS)]
    headings += ["reach", "× SPSA", "× CMA", "W : L, SPSA", "W : L, CMA", "best"]
    rivals = {p.method: p for p in found}
    lowest = np.min([p.at(300) for p in found], axis=0).clip(_ENOUGH) if found else np.array([])
    lines = []
    for p in found:
        line = [p.method.label, "" if p.method.kind == "search" else p.method.kind, f"{p.rate:g}" if p.rate > 0 else ""]
        line += [f"{np.median(p.at(n)):.3f}" for n in RANKED]
        line += [renders(float(np.median(p.to(level)))) for level in LEVELS]
        line.append(f"{np.isfinite(p.to(0.2)).mean():.0%}")
        others = [rivals.get(PUBLISHED), rivals.get(_SEARCH)]
        line += ["" if o is None or o is p else f"{p.relative(o):.2f}" for o in others]
        line += ["" if o is None or o is p else "{} : {}".format(*p.against(o)) for o in others]
        line.append(f"{(p.at(300) <= lowest * _DRAW).mean():.0%}")
        lines.append(line)
    return headings, lines


def renders(count: float) -> str:
    return f"{count:.0f}" if np.isfinite(count) else f"> {COUNTS[-1]}"


@dataclass
class Quality:
    """Cosines of one family of estimators with the trusted gradients.

    Attributes:
        method: the family, and what it probes.
        share: `[N]`: renders beyond the forward one, divided by the number of parameters.
        cosine: `[N]`: medians of repeated estimates.
        at_half: `[M]`: cosines with P/2 renders.
        at_full: `[M]`: cosines with P renders.
        untrusted: tasks left out.
    """

    method: Method
    share: FloatArray
    cosine: FloatArray
    at_half: FloatArray
    at_full: FloatArray
    untrusted: int


def by_family(rows: Sequence[Row], tasks: Sequence[str]) -> list[Quality]:
    """Every family that was measured on all of `tasks`."""
    families: dict[Method, list[Row]] = defaultdict(list)
    for row in rows:
        if row["task"] in tasks:
            families[Method(row["method"], row["kind"])].append(row)
    found = []
    for method, measured in families.items():
        if not tasks or {row["task"] for row in measured} != set(tasks):
            continue
        known = [row for row in measured if row["renders"]]
        share = np.array([row["renders"] / row["parameters"] for row in known], dtype=np.float64)
        cosine = np.array([row["cosine"] for row in known], dtype=np.float64)
        at_half = np.array([row["cosine"] for row in known if row["renders"] == half(row["parameters"])], dtype=np.float64)
        at_full = np.array([row["cosine"] for row in known if row["renders"] == row["parameters"]], dtype=np.float64)
        found.append(Quality(method, share, cosine, at_half, at_full, sum(not row["renders"] for row in measured)))
    return found


def quality_lines(found: Sequence[Quality]) -> Lines:
    """Medians and quartiles over the tasks."""

    def cell(values: FloatArray) -> str:
        if not len(values):
            return ""
        low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
        return f"{median:.2f} ({low:.2f} to {high:.2f})"

    headings = ["estimator", "probes", "P/2 renders", "P renders", "all it makes"]
    lines = []
    for q in found:
        whole = "" if "{" in q.method.name else cell(q.cosine)
        lines.append([q.method.label, q.method.kind, cell(q.at_half), cell(q.at_full), whole])
    return headings, lines


def amortised_lines(rows: Sequence[Row]) -> Lines:
    """Validation losses, each method with its best learning rate."""
    runs: dict[Method, dict[float, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        runs[Method(row["method"], row["kind"])][float(row["rate"])].append(row)
    lines = []
    for method, rates in runs.items():
        losses = {rate: _median(measured, "loss_", amortised.COUNTS) for rate, measured in rates.items()}
        rate = min(losses, key=lambda r: losses[r][-1])
        lines.append([method.label, method.kind, f"{rate:g}", *(f"{loss:.3f}" for loss in losses[rate])])
    headings = ["estimator", "probes", "learning rate", *(f"loss {count}" for count in amortised.COUNTS)]
    return headings, sorted(lines, key=lambda line: float(line[-1]))


def terminal_tables(rows: Mapping[str, Sequence[Row]], tasks: Sequence[str]) -> list[Table]:
    """The tables of everything that was measured on all of `tasks`."""
    count = f"{len(tasks)} tasks" if len(tasks) != 1 else tasks[0]
    shown = {
        f"Progress on {count}: medians; the step is the best for all of them": progress_lines(
            by_method(rows["progress"], tasks)
        ),
        f"Quality on {count}: cosine with the trusted gradient": quality_lines(by_family(rows["quality"], tasks)),
        "Amortised: validation loss of a network": amortised_lines(rows["amortised"]),
    }
    tables = []
    for title, (headings, lines) in shown.items():
        if not lines:
            continue
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for index, heading in enumerate(headings):
            table.add_column(heading, justify="right" if index > 1 else "left", overflow="fold")
        for line in lines:
            table.add_row(*line)
        tables.append(table)
    return tables
