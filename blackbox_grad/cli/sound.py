"""What `render` puts into an effect or an instrument: an audio file, a MIDI file, or one note."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from blackbox_grad import audio_files
from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.notes import Notes
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.packing import parted
from blackbox_grad.errors import AudioError
from blackbox_grad.parameters.units import NUMBER_WITH_UNIT, UNITS

#: Of files that hold notes, in lower case.
MIDI_SUFFIXES = (".mid", ".midi", ".smf")

#: The longest tail, seconds.
MOST_TAIL = 600.0

#: Hz of a render of notes, and seconds of one note, if nothing else is asked for.
_RATE, _SECONDS = 44100.0, 1.0


@dataclass(frozen=True)
class Sound:
    """Audio `[C, T]`, packed notes, which take the same shape, or both, `[C + 1, T]`.

    Attributes:
        audio: the array.
        sample_rate: Hz.
        takes: "audio", "notes" or "both".
        source: what it is, for people.
    """

    audio: Audio
    sample_rate: float
    takes: str
    source: str

    @property
    def seconds(self) -> float:
        return float(self.audio.shape[1] / self.sample_rate)

    @property
    def channels(self) -> int:
        """Of the audio that comes out."""
        return len(parted(self.audio)[0])

    def accompanied(self, file: Path) -> Sound:
        """With the notes of a MIDI file beside the audio."""
        if self.takes != "audio":
            raise typer.BadParameter("--notes go beside the audio of IN, and IN holds notes itself; leave --notes out")
        both = Notes.from_midi(file).beside(self.audio, self.sample_rate)
        return Sound(both, self.sample_rate, "both", f"{self.source} with the notes of {file}")

    def check(self, info: EffectInfo) -> None:
        """Raise `AudioError` if an instrument would get audio, or an effect notes."""
        if self.takes == "both":
            if not info.beside:
                way = "leave --notes out" if info.takes == "audio" else "give the MIDI file in place of IN"
                raise AudioError(f"{info.spec.address} does not take notes beside audio; {way}")
            return
        if info.takes == "notes" != self.takes:
            raise AudioError(
                f"{info.spec.address} is an instrument: give it a MIDI file in place of {self.source}, or one note: "
                "--note C4 --seconds 2"
            )
        if self.takes == "notes" != info.takes:
            raise AudioError(f"{info.spec.address} is an effect: give it an audio file, not {self.source}")


def several(files: Sequence[Path] | None, output: str | None, note: str | None) -> tuple[list[Path], Path] | None:
    """The files and the folder of a command line that has them; None for one file. Of `output`, a "/" at its end makes a folder."""
    if output is None or note is not None or not files:
        if files and len(files) > 2:
            raise typer.BadParameter(f"{len(files)} files are given; write EFFECT IN OUT, or EFFECT IN IN … -o FOLDER")
        return None
    folder = os.path.isdir(output) or output.endswith(("/", os.sep))
    if len(files) == 1 and not folder:
        return None
    if Path(output).suffix.lower() in audio_files.WRITTEN and not folder:
        raise typer.BadParameter(f"-o {output} is one file, and there are {len(files)}; name a folder: -o {Path(output).stem}/")
    return list(files), Path(output)


def placed(files: Sequence[Path] | None, output: str | None, note: str | None, beside: bool) -> tuple[Path | None, Path]:
    """IN and OUT of the command line, OUT also as `output`; with --note there is no IN. `beside` says that there are --notes."""
    given = [*(files or []), *([] if output is None else [Path(output)])]
    if note is not None:
        if len(given) != 1:
            raise typer.BadParameter("--note stands in the place of IN; write EFFECT OUT --note C4")
        return None, given[0]
    if len(given) == 1 and beside:
        raise typer.BadParameter("--notes are beside the audio of IN; without audio, write EFFECT riff.mid OUT")
    if len(given) != 2:
        raise typer.BadParameter(f"{'OUT' if given else 'IN'} is missing; write EFFECT IN OUT, or EFFECT OUT --note C4")
    return given[0], given[1]


def one_note(note: str, seconds: float | None) -> Notes:
    """--note and --seconds, for which it is held."""
    name: int | str = int(note) if note.lstrip("-").isdecimal() else note
    return Notes.one(name, _SECONDS if seconds is None else seconds)


def notes_of(file: Path | None, note: str | None, seconds: float | None) -> Notes | None:
    """The notes of --notes or --note; None without either."""
    if file is not None and note is not None:
        raise typer.BadParameter("--notes and --note both say what is played; give one of the two")
    if seconds is not None and note is None:
        raise typer.BadParameter("--seconds is how long --note is held; a file has its own length")
    if note is not None:
        return one_note(note, seconds)
    return None if file is None else Notes.from_midi(file)


def seconds_of(text: str, option: str) -> float:
    """A time on the command line: "3s", "500ms", or a number of seconds."""
    found = NUMBER_WITH_UNIT.match(text)
    base, factor = UNITS.get(found[2].lower() or "s", ("", 0.0)) if found else ("", 0.0)
    seconds = float(found[1]) * factor if found and base == "s" else -1.0
    if not 0.0 <= seconds <= MOST_TAIL:
        raise typer.BadParameter(f"{option} {text!r} must be a time from 0 to {MOST_TAIL:g} s, such as 3s or 500ms")
    return seconds


def sound_of(source: Path | None, note: str | None, seconds: float | None, sample_rate: float | None) -> Sound:
    """Read it. `seconds` are of a note, `sample_rate` is of a render of notes."""
    if seconds is not None and note is None:
        raise typer.BadParameter("--seconds is how long --note is held; a file has its own length")
    if note is not None:
        notes, text = one_note(note, seconds), f"the note {note}"
    elif source is not None and source.suffix.lower() in MIDI_SUFFIXES:
        notes, text = Notes.from_midi(source), f"the notes of {source}"
    else:
        if sample_rate is not None:
            raise typer.BadParameter("--sample-rate is for notes; a recording is rendered at its own")
        assert source is not None
        audio, rate = audio_files.read(source)
        return Sound(audio, rate, "audio", str(source))
    rate = _RATE if sample_rate is None else sample_rate
    return Sound(notes.packed(rate), rate, "notes", text)
