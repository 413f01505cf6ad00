"""The files that a command writes: what it may overwrite, and what it reports about them."""

from __future__ import annotations

import json as json_format
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from blackbox_grad import audio_files
from blackbox_grad.cli.console import complain, say, warn
from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.preset_files import check_preset_path
from blackbox_grad.effects.saved_curves import write_curves
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import AudioError, BlackboxGradError
from blackbox_grad.files import check_writable, is_device, replacing
from blackbox_grad.interrupts import Interrupt
from blackbox_grad.reports.pages import check_page_libraries

if TYPE_CHECKING:
    from blackbox_grad.matching.result import Match


class Outputs:
    """The files that a command leaves; any may be None.

    One that fails takes none of the others with it. The settings are written first, then the audio, then the page: what is dear
    before what is large, and what other libraries write last.
    """

    def __init__(
        self,
        audio: Path | None,
        report: Path | None,
        parameters: Path | None,
        preset: Path | None = None,
        curves: Path | None = None,
    ) -> None:
        self.audio, self.report, self.parameters, self.preset, self.curves = audio, report, parameters, preset, curves
        self.written: list[Path] = []

    def paths(self) -> list[Path]:
        """Of all files that are wanted, in the order of writing."""
        paths = (self.parameters, self.preset, self.curves, self.audio, self.report)
        return [path for path in paths if path is not None]

    def check(self, *inputs: Path) -> None:
        """Before the work: raise unless every file can be written, and none is an input or another output."""
        if self.audio is not None:
            audio_files.check_written(self.audio)
        if self.report is not None:
            check_writable(self.report, (".html", ".htm"))
            check_page_libraries()
        if self.parameters is not None:
            check_writable(self.parameters, ())
        if self.curves is not None:
            check_writable(self.curves, (".json", ".csv"))
        for path in self.paths():
            refuse_overwriting(path, *inputs)
        names = [path.absolute() if is_device(path) else os.path.realpath(path) for path in self.paths()]
        if len(set(names)) < len(names):
            raise typer.BadParameter("two outputs have the same name")

    def check_preset(self, spec: EffectSpec) -> None:
        """Before the work: raise unless the effect has presets of this kind, and one can be written."""
        if self.preset is not None:
            check_preset_path(spec, self.preset)

    def check_audio(self, channels: int, sample_rate: float) -> None:
        """Before the work, when the recordings have been read: raise if the file cannot hold such audio (Hz)."""
        if self.audio is not None:
            audio_files.check_written(self.audio, channels, sample_rate)

    def write(
        self,
        settings: Mapping[str, Any],
        audio: Audio,
        sample_rate: float,
        page: Callable[[Path], None],
        preset: Callable[[Path], object] = lambda path: None,
        curves: Callable[[Path], object] = lambda path: None,
    ) -> None:
        """Write the files. Say why one cannot be written, and write the others.

        Args:
            settings: what goes into the file of settings, as JSON.
            audio: `[C, T]`, at `sample_rate` Hz.
            page: writes the page.
            preset: writes the preset.
            curves: writes the curves.
        """

        def write_settings(path: Path) -> None:
            with replacing(path) as temporary:
                temporary.write_text(json_format.dumps(settings, indent=2) + "\n", "utf-8")

        def write_audio(path: Path) -> None:
            audio_files.write(path, audio, sample_rate)
            warn_of_clipping(path, audio)

        works: list[tuple[Path | None, Callable[[Path], object]]] = [
            (self.parameters, write_settings),
            (self.preset, preset),
            (self.curves, curves),
            (self.audio, write_audio),
            (self.report, page),
        ]
        for path, write in works:
            if path is not None and attempted(path, write):
                self.written.append(path)

    def print(self) -> None:
        """Name the files that were written."""
        for name, path in (
            ("audio", self.audio),
            ("settings", self.parameters),
            ("preset", self.preset),
            ("curves", self.curves),
            ("report", self.report),
        ):
            if path in self.written:
                say((f"{name:<9}", "dim"), str(path))

    def exit(self, interrupt: Interrupt, error: str = "") -> None:
        """Exit with an error code, unless all went well. `error`: what went wrong in the work."""
        if error:
            complain(error)
        if error or len(self.written) < len(self.paths()):
            raise typer.Exit(1)
        if interrupt.pressed:
            raise typer.Exit(interrupt.exit_code)


def attempted(path: Path, write: Callable[[Path], object]) -> bool:
    """Whether `write(path)` wrote the file. If not, it says why, and the command goes on with its other results."""
    try:
        write(path)
        return True
    except BlackboxGradError as error:
        complain(str(error))
    except Exception as error:
        complain(f"{path}: cannot be written ({' '.join(str(error).split()) or type(error).__name__})")
    return False


def write_match(outputs: Outputs, found: Match, audio: Audio, target: Audio, truth: Mapping[str, float] | None = None) -> None:
    """The files of `match` and `demo`. `truth`: the normalised settings that made the target, by name."""
    line = command_line()

    def page(path: Path) -> None:
        from blackbox_grad.matching import report as match_report

        match_report.write_report(path, found, audio, target, command=line, truth=truth)

    def curves(path: Path) -> None:
        with replacing(path) as temporary:
            write_curves(temporary, found.info, found.point, path.suffix)

    outputs.write(found.to_json() | {"command": line}, found.audio, found.sample_rate, page, found.save_preset, curves)


def command_line() -> str:
    """What was typed, for files that say how they were made."""
    return shlex.join(["blackbox-grad", *sys.argv[1:]])


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
