"""Progress of a command: a bar on a terminal, otherwise a line for every tenth.

`BLACKBOX_GRAD_PROGRESS=100` makes it a line for every hundredth, for programs that read it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from blackbox_grad.cli.console import err


@dataclass(frozen=True)
class Shown:
    """How far a command is.

    Attributes:
        doing: the current step.
        done: the part of the work that is done, in [0, 1].
        details: counts and figures, as text.
    """

    doing: str
    done: float
    details: str


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[Shown], None]]:
    """A function that shows how far the command is, inside the block."""
    with _bar() if err().is_terminal else _lines() as show:
        yield show


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Shown], None]]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<24.24}"), BarColumn(), TextColumn("{task.fields[details]}"), TimeElapsedColumn())
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("opening", total=1.0, details="")

        def show(shown: Shown) -> None:
            bar.update(task, description=shown.doing, completed=shown.done, details=shown.details)

        yield show


@contextlib.contextmanager
def _lines() -> Iterator[Callable[[Shown], None]]:
    said = -1
    parts = os.environ.get("BLACKBOX_GRAD_PROGRESS", "")
    lines = int(parts) if parts.isdecimal() and parts != "0" else 10

    def show(shown: Shown) -> None:
        nonlocal said
        if int(lines * shown.done) > said:
            said = int(lines * shown.done)
            err().print(f"{100 * shown.done:3.0f} %  {shown.doing}: {shown.details}", soft_wrap=True)

    yield show
