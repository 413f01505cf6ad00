"""`blackbox-grad match`: the settings that turn one recording into another."""

from __future__ import annotations

import contextlib
import json as json_format
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from blackbox_grad import audio_files
from blackbox_grad.cli.arguments import Address, Json, Options, Preset, Set, options_of, values_of
from blackbox_grad.cli.console import complain, err, out, print_json, say, table
from blackbox_grad.cli.render import refuse_overwriting, warn_of_clipping
from blackbox_grad.effects import Audio
from blackbox_grad.errors import BlackboxGradError

if TYPE_CHECKING:
    from blackbox_grad.matching import Match, Progress


def match(
    address: Address,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="The unprocessed recording.", show_default=False)],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="What it shall sound like.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the matched audio.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write an HTML report to listen to.", show_default=False)
    ] = None,
    parameters: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the settings as JSON.", show_default=False)
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only", metavar="NAME", help="Let this parameter change and hold the others. Repeatable.", show_default=False
        ),
    ] = None,
    settings: Set = None,
    renders: Annotated[int, typer.Option(min=8, metavar="N", help="The most renders of the effect.")] = 2000,
    loss: Annotated[
        str, typer.Option(metavar="NAME", help="The distance: mrstft, mel, envelope, l1, or a sum: 'mrstft + 0.5*l1'.")
    ] = "mrstft",
    estimator: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Descend its gradients instead of emulating the effect: spsa:samples=4, …", show_default=False
        ),
    ] = None,
    probes: Annotated[str, typer.Option(metavar="KIND", help="The estimator's: loss, cotangent, or auto.")] = "auto",
    excerpt: Annotated[
        float, typer.Option(min=0.0, metavar="SECONDS", help="Search on the loudest part only; 0 for all of it.")
    ] = 4.0,
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed repeats a run.")] = 0,
    hosts: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="Processes that render; one a core by default.", show_default=False),
    ] = None,
    preset: Preset = None,
    option: Options = None,
    json: Json = False,
) -> None:
    """Find the settings with which the effect turns INPUT into TARGET. Ctrl-C ends it with the best so far.

    \b
    Examples:
      blackbox-grad match pedalboard-builtin:Reverb dry.wav wet.wav -o matched.wav
      blackbox-grad match ZamTube.vst3 di.wav amp.wav --only Drive --only Bass
      blackbox-grad match ZamDelay.vst3 dry.wav wet.wav --set 'Feedback=0.2'
      blackbox-grad match 'a.vst3 | b.vst3' dry.wav wet.wav --report report.html
    """
    outputs = Outputs(output, report, parameters)
    outputs.check(source, target)
    fixed, options = values_of(settings), options_of(option, preset)
    audio, rate = audio_files.read(source)
    wanted, _ = audio_files.read(target, rate)

    from blackbox_grad import matching
    from blackbox_grad.hosts.process_pool import ProcessPool

    # a render of the whole recording must not end a long search
    with contextlib.closing(ProcessPool(hosts, time_limit=60.0 + 10.0 * wanted.shape[1] / rate)) as host:
        found = searched(
            lambda on_progress: matching.match(
                address,
                audio,
                wanted,
                rate,
                parameters=only or "trainable",
                fixed=fixed,
                loss=loss,
                renders=renders,
                estimator=estimator,
                probes=probes,  # type: ignore[arg-type]
                excerpt=excerpt or None,
                seed=seed,
                host=host,
                on_progress=on_progress,
                **options,
            )
        )
    with interrupts_wait():
        if not json:
            print_match(found)
        written = outputs.write(found, audio, wanted, command=shlex.join(["blackbox-grad", *sys.argv[1:]]))
        if json:
            print_json(found.to_json() | {"files": [str(path) for path in written]})
        else:
            outputs.print(written)
    outputs.exit(found, written)


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


class Outputs:
    """The files that a match leaves, any of them None."""

    def __init__(self, audio: Path | None, report: Path | None, parameters: Path | None) -> None:
        self.audio, self.report, self.parameters = audio, report, parameters

    def paths(self) -> list[Path]:
        return [path for path in (self.audio, self.report, self.parameters) if path is not None]

    def check(self, *inputs: Path) -> None:
        """Before the work: every name can be written, and none is an input or another output."""
        for path, suffixes in (
            (self.audio, tuple(audio_files.WRITTEN)),
            (self.report, (".html", ".htm")),
            (self.parameters, ()),
        ):
            if path is not None:
                audio_files.check_writable(path, suffixes)
                refuse_overwriting(path, *inputs)
        names = [path.absolute() for path in self.paths()]
        if len(set(names)) < len(names):
            raise typer.BadParameter("two outputs have the same name")

    def write(
        self, found: Match, audio: Audio, target: Audio, *, command: str, truth: Mapping[str, float] | None = None
    ) -> list[Path]:
        """Those that could be written: one that fails (a full disk) is complained of, and takes no other with it."""

        def write_audio(path: Path) -> None:
            audio_files.write(path, found.audio, found.sample_rate)
            warn_of_clipping(path, found.audio)

        def write_parameters(path: Path) -> None:
            with audio_files.replacing(path) as temporary:
                temporary.write_text(json_format.dumps(found.to_json() | {"command": command}, indent=2) + "\n", "utf-8")

        def write_report(path: Path) -> None:
            from blackbox_grad import report

            report.write_report(path, found, audio, target, command=command, truth=truth)

        written = []
        for path, write in ((self.audio, write_audio), (self.report, write_report), (self.parameters, write_parameters)):
            if path is not None:
                try:
                    write(path)
                    written.append(path)
                except BlackboxGradError as error:
                    complain(str(error))
        return written

    def print(self, written: list[Path]) -> None:
        for name, path in (("audio", self.audio), ("settings", self.parameters), ("report", self.report)):
            if path in written:
                say((f"{name:<9}", "dim"), str(path))

    def exit(self, found: Match, written: list[Path]) -> None:
        """With the exit code that says how it went, unless all is well."""
        if found.error:
            complain(found.error)
        if found.error or len(written) < len(self.paths()):
            raise typer.Exit(1)
        if found.finished == "interrupted":
            raise typer.Exit(130)


def print_match(found: Match, truth: Mapping[str, str] | None = None) -> None:
    """The table of settings and the loss; `truth` maps names to the native text with which the target was made."""
    rows = table(
        "parameter", "found", *(["hidden"] if truth else []), "default", "normalised", right=["normalised"], whole=["found"]
    )
    for row in found.settings():
        if row["free"]:
            hidden = [truth.get(row["name"], "")] if truth else []
            rows.add_row(row["name"], row["native"], *hidden, row["default"], f"{row['normalised']:.4f}")
    out().print(rows)
    say("")
    if found.finished == "interrupted":
        say(("Stopped by Ctrl-C; these are the best settings so far.", "yellow"))
    if found.finished == "failed":
        say(("Stopped by an error; these are the best settings so far.", "yellow"))
    improved: list[Any] = [f"loss {found.loss_start:.4g} → ", (f"{found.loss:.4g}", "bold green")]
    say(*improved, f" ({found.loss_name}; {found.renders} renders in {found.seconds:.1f} s; {found.method})")


@contextlib.contextmanager
def interrupts_wait() -> Iterator[None]:
    """A Ctrl-C inside the block is obeyed at its end, so that results are written; the second one is obeyed at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.getsignal(signal.SIGINT)
    pressed = False

    def note(number: int, frame: Any) -> None:
        nonlocal pressed
        pressed = True
        signal.signal(signal.SIGINT, usual)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)
    if pressed:
        raise KeyboardInterrupt
