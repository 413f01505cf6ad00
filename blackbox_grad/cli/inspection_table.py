"""What `blackbox-grad inspect --deep` shows: progress while it measures, then what it found."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from blackbox_grad.cli.console import err, out, say, table, warn
from blackbox_grad.inspection import Inspection, ParameterInspection, Progress
from blackbox_grad.reports.inspection_wording import facts, number, remark, settings, stopped


@contextlib.contextmanager
def progress() -> Iterator[Callable[[Progress], None]]:
    """A bar on a terminal, otherwise a line for every tenth."""
    with _bar() if err().is_terminal else _lines() as on_progress:
        yield on_progress


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[Progress], None]]:
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description:<24.24}"), BarColumn(), TextColumn("{task.fields[used]}"))
    with Bar(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("opening", total=1.0, used="")

        def on_progress(p: Progress) -> None:
            bar.update(task, description=p.what, completed=p.done, used=_used(p))

        yield on_progress


@contextlib.contextmanager
def _lines() -> Iterator[Callable[[Progress], None]]:
    said = -1

    def on_progress(p: Progress) -> None:
        nonlocal said
        if int(10 * p.done) > said:
            said = int(10 * p.done)
            err().print(f"{100 * p.done:3.0f} %  {p.what}: {_used(p)}", soft_wrap=True)

    yield on_progress


def _used(p: Progress) -> str:
    return f"{p.renders}/{p.render_limit} renders, {p.seconds:.0f}/{p.time_limit:.0f} s"


def print_inspection(found: Inspection) -> None:
    """Facts about the effect, and a row for each parameter."""
    say((found.name, "bold"), f"  {found.address}\n")
    for name, text in facts(found).items():
        say((f"{name:<21}", "dim"), text)
    say("")
    rows = table(
        *("parameter", "changes", "settings", "noise", "curvature", "step", "probes", "right way", "remark"),
        right=["changes", "settings", "noise", "curvature", "step", "right way"],
        whole=["changes", "settings", "step"],
    )
    for p in found.parameters:
        rows.add_row(*_row(p), style="dim" if p.reaches_sound is False else None)
    out().print(rows)
    if found.stopped:
        say("")
        warn(stopped(found))


def _row(p: ParameterInspection) -> list[str]:
    return [
        p.name,
        "" if p.influence is None else f"{p.influence:.2g} dB",
        settings(p),
        number(p.noise),
        number(p.curvature),
        number(p.step),
        p.probe_kind or "",
        "" if p.direction is None else f"{100 * p.direction:.0f} %",
        remark(p),
    ]
