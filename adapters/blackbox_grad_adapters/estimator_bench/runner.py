"""Measurements spread over processes. Each result is kept at once, so Ctrl-C loses only the last seconds."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from blackbox_grad.cli import err
from blackbox_grad.hosts import end_with_parent
from blackbox_grad_adapters.estimator_bench.results import Row, Table

#: A measurement: a function that can be pickled, and its arguments. It returns rows.
Cell = tuple[Callable[..., list[Row]], tuple[Any, ...]]

#: Rows, and the error if there are none.
Answer = tuple[list[Row], str]


#: Seconds of a measurement on one core, roughly: for what is said at the start.
_SECONDS = {"progress": 5.0, "quality": 4.0, "amortised": 60.0}

#: Seconds between two lines of progress in a log.
_BETWEEN = 30.0


def run(cells: Sequence[Cell], table: Table, jobs: int, part: str) -> int:
    """Measure all cells; returns how many failed. Says how long it will take, and on the way, how long still."""
    failed, began, said = 0, time.monotonic(), time.monotonic()
    guess = duration(len(cells) * _SECONDS[part] / jobs)
    err().print(f"{part}: {len(cells)} measurements on {jobs} processes, some {guess} on a usual machine")
    with _bar(part, len(cells)) as advance:
        for done, (rows, error) in enumerate(_answers(cells, jobs), 1):
            if error:
                failed += 1
                err().print(error)
            else:
                table.add(rows)
            now = time.monotonic()
            left = duration((now - began) / done * (len(cells) - done))
            if advance is not None:
                advance()
            elif done in (1, len(cells)) or now - said > _BETWEEN:
                said = now
                err().print(f"{part}: {done}/{len(cells)} measured" + (f", {left} left" if done < len(cells) else ""))
    return failed


def duration(seconds: float) -> str:
    """In words: "40 s", "12 min", "3.5 h"."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextlib.contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[], None] | None]:
    """A function that advances a bar on the terminal; None if there is no terminal."""
    if not err().is_terminal:
        yield None
        return
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err()) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)


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
    lines: list[Connection] = []
    try:
        while left or at_work:
            while left and len(at_work) < jobs:
                connection, process = _start(lines)
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
        for line in lines:
            line.close()


def _start(lines: list[Connection]) -> tuple[Connection, multiprocessing.process.BaseProcess]:
    """A process, and a connection to it. It ends when `lines` are closed."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    line, kept = context.Pipe(duplex=False)
    lines.append(kept)
    process = context.Process(target=_serve, args=(theirs, line), daemon=True)
    process.start()
    line.close()
    theirs.close()  # otherwise the parent would not notice its death
    return ours, process


def _serve(connection: Connection, line: Connection) -> None:
    """In its own process: measure each cell that arrives, until the connection closes, or the parent is killed."""
    end_with_parent(line.fileno())
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
