"""`blackbox-grad bench`: measure an estimator of yours on real effects, beside the results of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blackbox_grad.cli import err, importing, out, say, warn
from blackbox_grad.dependencies import library
from blackbox_grad.errors import BlackboxGradError, EstimatorError
from blackbox_grad.interrupts import deferred_interrupts

if TYPE_CHECKING:
    from blackbox_grad_adapters.estimator_bench.methods import Kind

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Benches on which a contribution of yours is measured.")


@app.callback()
def bench() -> None:
    """A group, although it has one command."""


@app.command()
def estimators(
    estimator: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Only these: registered names or package.module.Class, with options; {m} stands for its number of renders.",
        ),
    ] = None,
    kinds: Annotated[str, typer.Option(help="Kinds of probes.")] = "cotangent,loss",
    tasks: Annotated[str, typer.Option(help="Only tasks with one of these words or patterns in their names.")] = "*",
    parts: Annotated[str, typer.Option(help="Some of progress, quality, amortised; or none.")] = "progress,quality,amortised",
    rates: Annotated[str, typer.Option(help="Only these step sizes of Adam; all of the grid by default.")] = "",
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each method with each step size.")] = 1,
    jobs: Annotated[int, typer.Option(min=0, help="Processes; one per core by default.")] = 0,
    again: Annotated[bool, typer.Option("--again", help="Measure again what has a result.")] = False,
    results: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for new results; continues what is there.")] = Path(
        "estimator-bench"
    ),
    write_page: Annotated[
        Path | None, typer.Option("--page", metavar="FILE", help="Write the page of the docs, with its figures.")
    ] = None,
) -> None:
    """Measure estimators of gradients on real effects, beside the known results of others.

    With one --estimator and all tasks, it takes some minutes on two cores; it says how long at the start, and how long still on the
    way. Ctrl-C keeps the results so far, and the same command continues. Without any option it measures what has no result.

    \b
    Examples:
      blackbox-grad bench estimators --estimator my_package.Mine:step=0.02
      blackbox-grad bench estimators --estimator spsa --tasks 'overdrive,zam-*' --parts progress --again
    """
    with importing():
        library("auraloss", "the bench of estimators", "bench")
        from blackbox_grad.hosts import usable_cores
        from blackbox_grad_adapters.estimator_bench import report
        from blackbox_grad_adapters.estimator_bench.available import available
        from blackbox_grad_adapters.estimator_bench.results import KEYS, Table
        from blackbox_grad_adapters.estimator_bench.runner import run
        from blackbox_grad_adapters.estimator_bench.tasks import TASKS, matching
        from blackbox_grad_adapters.estimator_bench.wanted import Wanted

    _one_of("parts", parts, [*KEYS, "none"])
    _one_of("kinds", kinds, ["cotangent", "loss"])
    chosen = matching(tasks)
    if not chosen:
        raise typer.BadParameter(f"--tasks {tasks}: no task has this name; there are {', '.join(TASKS)}")
    try:
        chosen_kinds: list[Kind] = [kind for kind in ("cotangent", "loss") if kind in kinds.split(",")]
        wanted = Wanted(estimator, chosen_kinds, _numbers(rates), seeds)
    except EstimatorError as error:
        raise typer.BadParameter(f"--estimator: {error}") from None
    tables = {part: Table(part, results) for part in KEYS}
    measured = [part for part in KEYS if part in parts.split(",")]
    if measured:
        chosen, left_out = available(chosen)
        for reason in left_out:
            warn(reason)
        if not chosen:
            raise BlackboxGradError("no task can be measured here: see the reasons above")
    cells = {
        part: [
            cell
            for cell in wanted.cells(part, chosen)
            if again or cell[1] not in {tuple(row[key] for key in wanted.keys[part]) for row in tables[part].rows}
        ]
        for part in measured
    }
    processes, failed = jobs or usable_cores(), 0
    with deferred_interrupts(may_wait=lambda: False) as interrupt:  # a row is written as soon as it is measured
        try:
            for part, left in cells.items():
                if left:
                    failed += run(left, tables[part], processes, part)
        except KeyboardInterrupt:
            err().print("stopped; the same command continues from here")
            raise typer.Exit(interrupt.exit_code) from None
    rows = {part: table.rows for part, table in tables.items()}
    for table in report.terminal_tables(rows, chosen):
        out().print(table)
    if write_page:
        from blackbox_grad_adapters.estimator_bench import page  # and matplotlib with it

        page.write(write_page, rows)
        say(f"written: {write_page}")
    raise typer.Exit(1 if failed else 0)


def _numbers(text: str) -> list[float]:
    try:
        return [float(number) for number in text.split(",") if number]
    except ValueError:
        raise typer.BadParameter(f"--rates {text}: give numbers with commas between them") from None


def _one_of(option: str, text: str, allowed: list[str]) -> None:
    if unknown := [word for word in text.split(",") if word not in allowed]:
        raise typer.BadParameter(f"--{option} {unknown[0]}: allowed are {', '.join(allowed)}, with commas between them")
