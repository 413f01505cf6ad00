"""The files that a command writes: what it may overwrite, and what it reports about them."""

from __future__ import annotations

import json as json_format
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from blackbox_grad import audio_files
from blackbox_grad.cli.console import complain, out, say, table, warn
from blackbox_grad.cli.progress import Shown, progress
from blackbox_grad.effects.audio import Audio
from blackbox_grad.errors import AudioError, BlackboxGradError
from blackbox_grad.files import check_writable, replacing

if TYPE_CHECKING:
    from blackbox_grad.matching.result import Match, Progress


def searched(search: Callable[[Callable[[Progress], None]], Match]) -> Match:
    """Run `search(on_progress)`, and show its progress."""
    with progress() as show:

        def on_progress(p: Progress) -> None:
            details = f"{p.renders}/{p.budget} renders, loss {p.start:.3g} → {p.best:.3g}"
            show(Shown(p.phase, p.renders / max(1, p.budget), details))

        return search(on_progress)


class Outputs:
    """The files that a match writes; any may be None."""

    def __init__(self, audio: Path | None, report: Path | None, parameters: Path | None) -> None:
        self.audio, self.report, self.parameters = audio, report, parameters

    def paths(self) -> list[Path]:
        return [path for path in (self.audio, self.report, self.parameters) if path is not None]

    def check(self, *inputs: Path) -> None:
        """Before the work: raise unless every file can be written, and none is an input or another output."""
        for path, suffixes in (
            (self.audio, tuple(audio_files.WRITTEN)),
            (self.report, (".html", ".htm")),
            (self.parameters, ()),
        ):
            if path is not None:
                check_writable(path, suffixes)
                refuse_overwriting(path, *inputs)
        names = [path.absolute() for path in self.paths()]
        if len(set(names)) < len(names):
            raise typer.BadParameter("two outputs have the same name")

    def write(
        self, found: Match, audio: Audio, target: Audio, *, command: str, truth: Mapping[str, float] | None = None
    ) -> list[Path]:
        """Write them, and return those that were written. If one fails (a full disk), print why, and write the others."""

        def write_audio(path: Path) -> None:
            audio_files.write(path, found.audio, found.sample_rate)
            warn_of_clipping(path, found.audio)

        def write_parameters(path: Path) -> None:
            with replacing(path) as temporary:
                temporary.write_text(json_format.dumps(found.to_json() | {"command": command}, indent=2) + "\n", "utf-8")

        def write_report(path: Path) -> None:
            from blackbox_grad.reports import match_report as report

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
        """Exit with an error code, unless all went well."""
        if found.error:
            complain(found.error)
        if found.error or len(written) < len(self.paths()):
            raise typer.Exit(1)
        if found.finished == "interrupted":
            raise typer.Exit(130)


def print_match(found: Match, truth: Mapping[str, str] | None = None) -> None:
    """Print the settings and the loss. `truth`: name -> the native text of the value that made the target."""
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


def refuse_overwriting(written: Path, *inputs: Path) -> None:
    """Raise `AudioError` if an output is one of the inputs."""
    for path in inputs:
        if written.exists() and path.exists() and written.samefile(path):
            raise AudioError(f"{written} is an input; give the output another name")


def warn_of_clipping(path: Path, audio: Audio) -> None:
    peak = audio_files.peak_decibels(audio)
    if peak <= 0.0:
        return
    kept = "kept in the file, and clipped when it is played" if path.suffix.lower() == ".wav" else "clipped"
    warn(f"{path}: {int((np.abs(audio) > 1.0).sum())} samples exceed full scale (peak {peak:+.1f} dB) and are {kept}")
