"""python -m benchmarks.estimators: measure what is missing, and show the tables.

python -m benchmarks.estimators                                        # everything that is still missing
python -m benchmarks.estimators --estimator my_package.Mine:step=0.02  # one estimator, beside the results of the rivals
python -m benchmarks.estimators --estimator spsa --tasks 'overdrive,zam-*' --parts progress --again
python -m benchmarks.estimators --parts none --page docs/measured/estimator-benchmarks.md
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.console import Console

from benchmarks.estimators import amortised, progress, quality, report
from benchmarks.estimators.methods import FAMILIES, RIVALS, TRAINERS, Kind, Method, at_two_renders
from benchmarks.estimators.results import KEYS, Table
from benchmarks.estimators.runner import Cell, run
from benchmarks.estimators.tasks import TASKS, matching
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.estimators import estimator as find_estimator
from blackbox_grad.hosts import usable_cores

#: Characters in a line if the tables do not go to a terminal.
_PAPER = 180


def main(
    estimator: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these: registered names or package.module.Class, with options; {m} stands for its number of renders."
        ),
    ] = None,
    kinds: Annotated[str, typer.Option(help="Kinds of probes.")] = "cotangent,loss",
    tasks: Annotated[str, typer.Option(help="Only tasks with one of these words or patterns in their names.")] = "*",
    parts: Annotated[str, typer.Option(help="Some of progress, quality, amortised; or none.")] = "progress,quality,amortised",
    rates: Annotated[str, typer.Option(help="Only these step sizes of Adam; all of the grid by default.")] = "",
    seeds: Annotated[int, typer.Option(help="Runs of each method with each step size.")] = 1,
    jobs: Annotated[int, typer.Option(help="Processes; one per core by default.")] = 0,
    again: Annotated[bool, typer.Option(help="Measure again what has a result.")] = False,
    results: Annotated[Path, typer.Option(help="Folder for new results.")] = Path("build/estimators"),
    write_page: Annotated[Path | None, typer.Option("--page", help="Write the page of the docs, with its figures.")] = None,
) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    _one_of("parts", parts, [*KEYS, "none"])
    _one_of("kinds", kinds, ["cotangent", "loss"])
    chosen = matching(tasks)
    if not chosen:
        raise typer.BadParameter(f"--tasks {tasks}: no task has this name; there are {', '.join(TASKS)}")
    try:
        wanted = _Wanted(estimator, cast("list[Kind]", kinds.split(",")), chosen, _numbers(rates), seeds)
    except BlackboxGradError as error:
        raise typer.BadParameter(f"--estimator: {error}") from None
    tables = {part: Table(part, results) for part in KEYS}
    failed = 0
    try:
        for part in [p for p in KEYS if p in parts.split(",")]:
            cells = wanted.cells(part)
            done = set() if again else {tuple(row[key] for key in wanted.keys[part]) for row in tables[part].rows}
            cells = [cell for cell in cells if cell[1] not in done]
            if cells:
                failed += run(cells, tables[part], jobs or usable_cores(), console, part)
    except KeyboardInterrupt:
        console.print("stopped; the same command continues from here")
        raise typer.Exit(130) from None
    rows = {part: table.rows for part, table in tables.items()}
    if not console.is_terminal:
        console = Console(width=_PAPER)
    for table in report.terminal_tables(rows, chosen):
        console.print(table)
    if write_page:
        from benchmarks.estimators import page  # and matplotlib with it

        page.write(write_page, rows)
        console.print(f"written: {write_page}")
    raise typer.Exit(1 if failed else 0)


def _numbers(text: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",") if number]
    except ValueError:
        raise typer.BadParameter(f"--rates {text}: give numbers with commas between them") from None


def _one_of(option: str, text: str, allowed: list[str]) -> None:
    if unknown := [word for word in text.split(",") if word not in allowed]:
        raise typer.BadParameter(f"--{option} {unknown[0]}: allowed are {', '.join(allowed)}, with commas between them")


class _Wanted:
    """The measurements to make, for all rivals or for some estimators."""

    #: what identifies a measurement, in the order of its arguments
    keys = KEYS | {"quality": ("task", "method", "kind")}

    def __init__(self, names: list[str] | None, kinds: list[Kind], tasks: list[str], rates: list[float], seeds: int) -> None:
        self.tasks = tasks
        self._rates = rates
        self._seeds = range(seeds)
        self._methods, self._trainers = RIVALS, TRAINERS
        self._families: list[tuple[str, Kind]] = [(family, kind) for family in FAMILIES for kind in kinds]
        if names:
            searches = tuple(m for m in RIVALS if m.kind == "search" and m.name in names)
            estimators = [name for name in names if Method(name, "search") not in searches]
            for name in estimators:
                find_estimator(at_two_renders(name))  # fails now if it does not exist
            self._trainers = tuple(Method(at_two_renders(name), kind) for name in estimators for kind in kinds)
            self._methods = searches + self._trainers
            self._families = [(name, kind) for name in estimators for kind in kinds]

    def cells(self, part: str) -> list[Cell]:
        if part == "quality":
            return [(quality.measure, (task, *family)) for task in self.tasks for family in self._families]
        if part == "amortised":
            runs = [(m.name, m.kind, rate, s) for m in self._trainers for rate in amortised.RATES for s in self._seeds]
            return [(amortised.measure, r) for r in runs]
        return [
            (progress.measure, (task, method.name, method.kind, rate, seed))
            for task in self.tasks
            for method in self._methods
            for rate in method.rates
            if method.kind == "search" or not self._rates or rate in self._rates
            for seed in self._seeds
        ]


if __name__ == "__main__":
    typer.run(main)
