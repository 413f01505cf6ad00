"""The runs of the bench, in their order, and how a process makes one."""

from __future__ import annotations

import warnings
from functools import cache
from pathlib import Path

from benchmarks.instruments import rows
from benchmarks.instruments.methods import MATCH, SEARCHERS, found_by, run
from benchmarks.instruments.tasks import INSTRUMENTS, Task, tasks_of
from blackbox_grad import Host
from blackbox_grad.hosts import InProcessHost

#: A run of the bench: instrument, number of the task, method, seed.
Cell = tuple[str, int, str, int]


@cache
def _host() -> Host:
    return InProcessHost()


@cache
def _tasks(instrument: str) -> list[Task]:
    return tasks_of(instrument, _host())


def cells(instruments: list[str], seeds: int) -> list[Cell]:
    """All runs: those of the first seed, then the other seeds of one method after the other."""
    every = [
        (name, number, method, seed)
        for seed in range(seeds)
        for name in instruments
        for number in range(INSTRUMENTS[name].presets + INSTRUMENTS[name].random)
        for method in SEARCHERS
        if seed < INSTRUMENTS[name].seeds
    ]
    methods = list(SEARCHERS)
    return sorted(every, key=lambda cell: 1 + methods.index(cell[2]) if cell[3] else 0)


def report(name: str, path: Path) -> None:
    """Match a task again, with the first seed, and write the page that plays start, target and match."""
    task = next(task for task in _tasks(name.split(" / ")[0]) if task.name == name)
    names = _host().open(INSTRUMENTS[task.instrument].spec).parameters.names
    found_by(task, MATCH, 0, _host()).report(path, truth=dict(zip(names, task.hidden.tolist(), strict=True)))


def measure(cell: Cell, done: set[tuple[str, str, int]]) -> rows.Row | None:
    """The row of a run; None if it is there already."""
    instrument, number, method, seed = cell
    task = _tasks(instrument)[number]
    if (task.name, method, seed) in done:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # each task would say again which parameters change nothing
        return run(task, method, seed, _host())
