"""What the commands that train have in common: options, the checks before, the progress, and the end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from blackbox_grad.cli import complain, err, say, warn
from blackbox_grad.interrupts import Interrupt, deferred_interrupts
from blackbox_grad_adapters.style_matching.commands.progress import Report

if TYPE_CHECKING:
    from blackbox_grad_adapters.style_matching.training.checks import Ready
    from blackbox_grad_adapters.style_matching.training.remaining import Phase

Output = Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the run; continues a run there.")]
Recordings = Annotated[
    list[Path] | None,
    typer.Option(
        "--recordings",
        metavar="FOLDER",
        help="Train with the audio in this folder, or with this file, not with the corpora. Repeatable.",
        show_default=False,
    ),
]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="The same seed repeats a run.")]
Wandb = Annotated[
    str | None,
    typer.Option(
        metavar="PROJECT",
        help="Also log to Weights & Biases; needs wandb. TensorBoard always gets the log.",
        show_default=False,
    ),
]


class Work:
    """A training that is under way: its progress, and whether a signal has ended it."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt
        self._report = Report()
        self.found = False

    def begin(self, ready: Ready, what: str) -> None:
        """Say what is ahead, and how long it takes."""
        from blackbox_grad_adapters.style_matching.training import remaining

        for address, names in ready.unheard.items():
            if names:
                err().print(
                    f"{address}: not heard in trials: {', '.join(names)}. What is not heard is not learnt",
                    soft_wrap=True,
                )
        err().print(
            f"{what}: about {remaining.in_words(ready.seconds)} here, as measured on a few pairs and steps; "
            f"{ready.bytes / 1e9:.1f} GB on disk",
            soft_wrap=True,
        )
        self._report = Report(remaining.Remaining(ready.phases))

    def ahead(self, phases: Sequence[Phase]) -> None:
        """Tell how long these phases still take."""
        from blackbox_grad_adapters.style_matching.training.remaining import Remaining

        self._report = Report(Remaining(phases))

    def on_epoch(self, stage: str, row: dict[str, float]) -> None:
        self.found = True
        shown = {name.partition("/")[2] or name: value for name, value in row.items() if not name.startswith("parameters/")}
        epoch = round(shown.pop("epoch")) + 1
        self._report(stage, epoch, ", ".join(f"{name} {value:.3g}" for name, value in shown.items()))

    def on_progress(self, name: str, done: int, total: int) -> None:
        self._report(name, done)
        self._interrupt.check()

    def end(self) -> None:
        """Exit with the code of the signal, if there was one."""
        if self._interrupt.pressed:
            say((f"Stopped by {self._interrupt.name}; this is the best so far. The same command continues.", "yellow"))
            raise typer.Exit(self._interrupt.exit_code)


@contextlib.contextmanager
def said(output: Path) -> Iterator[None]:
    """Inside the block, everything that a run lacks is said line by line, and ends the command."""
    from blackbox_grad_adapters.style_matching.training.checks import NotReadyError

    try:
        yield
    except NotReadyError as error:
        if len(error.problems) > 1:
            err().print(f"{output}: the training cannot begin; {len(error.problems)} things are missing:", soft_wrap=True)
        for problem in error.problems:
            complain(problem)
        raise typer.Exit(1) from None


@contextlib.contextmanager
def kept() -> Iterator[Work]:
    """Inside the block, Ctrl-C and SIGTERM wait until the files are there, from the first epoch on."""
    interrupt = Interrupt()
    work = Work(interrupt)
    try:
        with deferred_interrupts(lambda: work.found, interrupt):
            yield work
    except KeyboardInterrupt:
        warn(f"stopped by {interrupt.name}; the same command continues")
        raise typer.Exit(interrupt.exit_code) from None
