"""Progress of a command: a bar on a terminal, otherwise a line for every tenth."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from blackbox_grad.cli.console import err

if TYPE_CHECKING:
    from blackbox_grad.matching.result import Match, Progress


def searched(search: Callable[[Callable[[Progress], None]], Match]) -> Match:
    """Run `search(on_progress)` under a progress bar."""
    with _bar() if err().is_terminal else _lines() as on_progress:
        return search(on_progress)


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description:<8}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} renders  {task.fields[loss]}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("opening", total=None, loss="")

        def on_progress(p: Progress) -> None:
            loss = f"loss {p.start:.3g} → {p.best:.3g}"
            bar.update(task, description=p.phase, completed=p.renders, total=p.budget, loss=loss)

        yield on_progress


@contextlib.contextmanager
def _lines() -> Iterator[Callable[[Progress], None]]:
    """A line for every tenth of the renders, where stderr is no terminal."""
    said = -1

    def on_progress(p: Progress) -> None:
        nonlocal said
        tenth = 10 * p.renders // max(1, p.budget)
        if tenth > said:
            said = tenth
            err().print(f"{p.phase}: {p.renders}/{p.budget} renders, loss {p.start:.3g} → {p.best:.3g}")

    yield on_progress
