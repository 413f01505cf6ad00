"""python -m benchmarks.estimators: measure what is missing, and show the table.

python -m benchmarks.estimators                                       # everything, or what is left of it
python -m benchmarks.estimators --estimator my_package.Mine:step=0.02 # one estimator, beside the results of the rivals
python -m benchmarks.estimators --estimator spsa --tasks 'overdrive,zam-*' --parts progress --again
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.estimators import progress, report
from benchmarks.estimators.methods import RIVALS, Kind, Method
from benchmarks.estimators.results import Row, Table
from benchmarks.estimators.runner import Cell, run
from benchmarks.estimators.tasks import matching
from blackbox_grad.hosts import usable_cores
from blackbox_grad.registry import estimator as find_estimator


def main(
    estimator: Annotated[
        list[str] | None, typer.Option(help="only these: registered names, or package.module.Class, with options")
    ] = None,
    kinds: Annotated[str, typer.Option(help="what they probe")] = "cotangent,loss",
    tasks: Annotated[str, typer.Option(help="only tasks whose name holds one of these words or patterns")] = "*",
    seeds: Annotated[int, typer.Option(help="runs of each method with each step size")] = 1,
    jobs: Annotated[int, typer.Option(help="processes")] = 0,
    again: Annotated[bool, typer.Option(help="measure what has a result, too")] = False,
    results: Annotated[Path, typer.Option(help="folder for new results")] = Path("build/estimators"),
) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    methods = [m for name in estimator for m in _methods(name, kinds.split(","))] if estimator else list(RIVALS)
    chosen = matching(tasks)
    table = Table("progress", results)
    cells: list[Cell] = []
    for task in chosen:
        for method in methods:
            for rate in method.rates:
                for seed in range(seeds):
                    key: Row = {"task": task, "method": method.name, "kind": method.kind, "rate": rate, "seed": seed}
                    if again or key not in table:
                        cells.append((progress.measure, (task, method.name, method.kind, rate, seed)))
    try:
        failed = run(cells, table, jobs or usable_cores(), console, "progress") if cells else 0
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here")
        raise typer.Exit(130) from None
    console.print(report.terminal_table(table.rows, chosen))
    raise typer.Exit(1 if failed else 0)


def _methods(name: str, kinds: list[Kind]) -> list[Method]:
    """A rival, or an estimator with each kind of probe."""
    if (search := Method(name, "search")) in RIVALS:
        return [search]
    find_estimator(name)  # fails now if it does not exist
    return [Method(name, kind) for kind in kinds]


if __name__ == "__main__":
    typer.run(main)
