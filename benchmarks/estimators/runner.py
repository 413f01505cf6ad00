"""Measurements spread over processes. Each result is kept at once, so Ctrl-C loses only the last seconds."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from benchmarks.estimators.results import Row, Table

#: A measurement: a function that can be pickled, and its arguments. It returns rows.
Cell = tuple[Callable[..., list[Row]], tuple[Any, ...]]

#: Rows, and the error if there are none.
Answer = tuple[list[Row], str]


def run(cells: Sequence[Cell], table: Table, jobs: int, console: Console, title: str) -> int:
    """Measure all cells; returns how many failed."""
    failed = 0
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        for rows, error in progress.track(_answers(cells, jobs), total=len(cells)):
            if error:
                failed += 1
                progress.console.print(error, markup=False)
            else:
                table.add(rows)
    return failed


def _answers(cells: Sequence[Cell], jobs: int) -> Iterator[Answer]:
    """An answer for each cell, in order of arrival.

    Each process has its own connection. With the shared queues of `multiprocessing.Pool`, a process that is killed while it answers
    would leave a lock that no process opens.
    """
    if jobs == 1:
        yield from map(_measured, cells)
        return
    left = deque(cells)
    at_work: dict[Connection, tuple[multiprocessing.process.BaseProcess, Cell]] = {}
    try:
        while left or at_work:
            while left and len(at_work) < jobs:
                connection, process = _start()
                at_work[connection] = process, left.popleft()
                connection.send(at_work[connection][1])
            for connection in [c for c in wait(list(at_work)) if isinstance(c, Connection)]:
                process, cell = at_work.pop(connection)
                try:
                    answer: Answer = connection.recv()
                except (EOFError, OSError):
                    process.join()
                    yield [], f"{_described(cell)}: its process ended with exit code {process.exitcode}"
                    continue
                if left:
                    at_work[connection] = process, left.popleft()
                    connection.send(at_work[connection][1])
                else:
                    connection.close()
                yield answer
    finally:
        for process, _ in at_work.values():
            process.kill()


def _start() -> tuple[Connection, multiprocessing.process.BaseProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,), daemon=True)
    process.start()
    theirs.close()  # otherwise the parent would not notice its death
    return ours, process


def _serve(connection: Connection) -> None:
    """In its own process: measure each cell that arrives, until the connection closes."""
    import torch

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C, and then closes the connection
    torch.set_num_threads(1)
    while True:
        try:
            cell = connection.recv()
        except EOFError:
            return
        connection.send(_measured(cell))


def _measured(cell: Cell) -> Answer:
    function, arguments = cell
    try:
        return function(*arguments), ""
    except Exception as error:  # one measurement that fails must not end the others
        return [], f"{_described(cell)}: {type(error).__name__}: {error}"


def _described(cell: Cell) -> str:
    return f"{cell[0].__name__}{cell[1]}"
