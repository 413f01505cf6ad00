"""Measurements spread over processes. What is measured is kept at once, so Ctrl-C loses no more than the last seconds."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.estimators.results import Row, Table

#: A measurement: a function that can be pickled, and its arguments. It returns rows.
Cell = tuple[Callable[..., list[Row]], tuple[Any, ...]]

#: Seconds without any result after which a run is given up.
_PATIENCE = 600.0


def run(cells: Sequence[Cell], table: Table, jobs: int, console: Console, title: str) -> int:
    """Measure all cells; returns how many failed."""
    failed = 0
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        for rows, error in progress.track(_results(cells, jobs), total=len(cells)):
            if error:
                failed += 1
                progress.console.print(error, markup=False)
            else:
                table.add(rows)
    return failed


def _results(cells: Sequence[Cell], jobs: int) -> Iterator[tuple[list[Row], str]]:
    if jobs == 1:
        yield from map(_measured, cells)
        return
    with multiprocessing.get_context("spawn").Pool(min(jobs, max(1, len(cells))), _begin) as pool:
        found = pool.imap_unordered(_measured, cells)
        for _ in cells:
            yield found.next(timeout=_PATIENCE)


def _begin() -> None:
    """In a new process: Ctrl-C is for its parent, and torch has one core."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)


def _measured(cell: Cell) -> tuple[list[Row], str]:
    function, arguments = cell
    try:
        return function(*arguments), ""
    except Exception as error:  # one measurement that fails must not end the others
        return [], f"{function.__name__}{arguments}: {type(error).__name__}: {error}"
