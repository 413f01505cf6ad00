"""`make instruments`: run what is missing of the bench, and write its page."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.instruments import page, rows
from benchmarks.instruments.cells import cells, measure, report
from benchmarks.instruments.tasks import INSTRUMENTS


def main(
    instruments: Annotated[str, typer.Option(help="Names, with commas between them.")] = ",".join(INSTRUMENTS),
    seeds: Annotated[int, typer.Option(help="The most runs of each task.")] = 3,
    processes: Annotated[int, typer.Option(help="Runs at a time.")] = 2,
    results: Annotated[Path, typer.Option(help="The file of rows; it goes on from there.")] = rows.COMMITTED,
    write: Annotated[Path | None, typer.Option(help="Write the results into this page.")] = None,
    reports: Annotated[Path | None, typer.Option(help="Write three reports to listen to into this folder.")] = None,
) -> None:
    console = Console(stderr=True)
    done = {(row["task"], row["method"], row["seed"]) for row in rows.read(results)}
    wanted = cells(instruments.split(","), seeds)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        runs = [pool.submit(measure, cell, done) for cell in wanted]
        for number, finished in enumerate(as_completed(runs), 1):
            row = finished.result()
            if row is not None:
                rows.append(results, row)
                ratio = row["loss"] / row["default"]
                console.print(f"{number}/{len(wanted)} {row['task']}, {row['method']}, seed {row['seed']}: {ratio:.3f}")
    found = page.Results(rows.read(results))
    if write is not None:
        page.write(write, found)
    if reports is not None:
        for name, task in page.examples(found).items():
            console.print(f"report of {task}")
            report(task, reports / f"instrument-{name}.html")


if __name__ == "__main__":
    typer.run(main)
