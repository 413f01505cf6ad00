"""Notes: what an instrument plays."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.packing import MOST_EVENTS, Messages, beside, packed
from blackbox_grad.errors import AudioError

#: Channels of a render of notes.
CHANNELS = 2

#: Seconds after the end of the last note, in which it fades.
FADE = 1.0

#: The longest render, seconds.
LONGEST = 3600.0

_NAME = re.compile(r"([A-Ga-g])([#b♯♭]?)(-?\d+)")
_STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SHIFTS = {"": 0, "#": 1, "♯": 1, "b": -1, "♭": -1}

_NUMBERS = (int, float, np.integer, np.floating)

_NOTE_OFF, _NOTE_ON = 0x80, 0x90


@dataclass(frozen=True)
class Note:
    """One note.

    Attributes:
        pitch: MIDI number, 0 to 127, or a name with its octave: "C4" is 60, "A4" is 69 (440 Hz), "Bb2", "F#3".
        velocity: how hard it is played, 0 (silent) to 127.
        start: seconds.
        length: seconds.
        channel: of MIDI, 0 to 15.

    Raises:
        AudioError: a value is not allowed.
    """

    pitch: int | str
    velocity: int = 100
    start: float = 0.0
    length: float = 1.0
    channel: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "pitch", _pitch(self.pitch))
        for name, highest in (("pitch", 127), ("velocity", 127), ("channel", 15)):
            value: Any = getattr(self, name)
            if not (isinstance(value, _NUMBERS) and value in range(highest + 1)):
                raise AudioError(f"a note's {name} must be a whole number from 0 to {highest}, got {value!r}")
            object.__setattr__(self, name, int(value))
        for name in ("start", "length"):
            value = getattr(self, name)
            if not (isinstance(value, _NUMBERS) and math.isfinite(value) and value >= 0):
                raise AudioError(f"a note's {name} must be a number of seconds that is not negative, got {value!r}")
            object.__setattr__(self, name, float(value))

    @property
    def end(self) -> float:
        """Seconds."""
        return self.start + self.length


@dataclass(frozen=True)
class Control:
    """A MIDI message beside the notes: a controller (status 0xB0), pitch bend (0xE0) or pressure (0xA0, 0xD0).

    Attributes:
        start: seconds.
        message: status with the channel, and two data bytes.
    """

    start: float
    message: tuple[int, int, int]


#: A `Note`, or its `(pitch, velocity, start, length)`, of which the last three may be left out.
AnyNote: TypeAlias = "Note | Sequence[Any]"


@dataclass(frozen=True, init=False, repr=False)
class Notes:
    """Notes in time, and the length of the render that they ask for.

    Args:
        notes: each a `Note` or a tuple `(pitch, velocity, start, length)`: MIDI number or name ("C4" is 60), 0 to 127, seconds.
        seconds: of the render; by default a second longer than the last note. What lies beyond is not played.
        controls: controllers and pitch bends, as a MIDI file has them.

    >>> Notes([("C4", 100, 0.0, 0.5), ("E4", 100, 0.5, 0.5)])
    Notes(2 notes, C4 to E4, 2 s)

    Raises:
        AudioError: there are no notes, more than fit, or a value is not allowed.
    """

    notes: tuple[Note, ...]
    seconds: float
    controls: tuple[Control, ...] = field(default=())

    def __init__(self, notes: Iterable[AnyNote], seconds: float | None = None, controls: Iterable[Control] = ()) -> None:
        if isinstance(notes, (str, bytes)) or not isinstance(notes, Iterable):
            raise AudioError(f"notes={notes!r}: give a list of (pitch, velocity, start, length), or Notes.one({notes!r})")
        found, others = tuple(map(_note, notes)), tuple(controls)
        if not found:
            raise AudioError("there are no notes; give at least one (pitch, velocity, start, length)")
        if len(found) + len(others) > MOST_EVENTS:
            raise AudioError(
                f"{len(found) + len(others)} notes and controls are more than the {MOST_EVENTS} of one render; split them"
            )
        length: Any = max(note.end for note in found) + FADE if seconds is None else seconds
        if not (isinstance(length, _NUMBERS) and 0.0 < length <= LONGEST):
            raise AudioError(f"seconds={length!r}: a render of notes takes more than 0 and at most {LONGEST:g} seconds")
        for name, value in (("notes", found), ("seconds", float(length)), ("controls", others)):
            object.__setattr__(self, name, value)

    @classmethod
    def one(
        cls, pitch: int | str, seconds: float = 1.0, velocity: int = 100, *, start: float = 0.0, total: float | None = None
    ) -> Notes:
        """One note of so many seconds. `total`: seconds of the render."""
        return cls([Note(pitch, velocity, start, seconds)], total)

    @classmethod
    def from_midi(cls, path: str | os.PathLike[str], seconds: float | None = None) -> Notes:
        """All tracks of a MIDI file: notes, pitch bend, controllers and pressure. Needs the extra `midi`.

        Changes of program and bank are left out: the parameters say what is played.

        Raises:
            AudioError: the file is damaged, or has no notes.
        """
        from blackbox_grad.effects.midi_files import read

        notes, controls = read(path)
        return cls(notes, seconds, [Control(*row) for row in controls])

    def lasting(self, seconds: float) -> Notes:
        """The same notes in a render of another length."""
        return Notes(self.notes, seconds, self.controls)

    def __repr__(self) -> str:
        pitches = [int(note.pitch) for note in self.notes]
        what = f"{len(pitches)} notes" if len(pitches) > 1 else "1 note"
        which = " to ".join(map(name_of, sorted({min(pitches), max(pitches)})))
        more = f", {len(self.controls)} controls" if self.controls else ""
        return f"Notes({what}, {which}{more}, {self.seconds:g} s)"

    def samples(self, sample_rate: float) -> int:
        """Length of the render."""
        return max(1, math.ceil(self.seconds * sample_rate))

    def messages(self, sample_rate: float) -> Messages:
        """As MIDI. Of what happens at one sample, notes end first and begin last."""
        rows: list[tuple[int, int, int, int, int]] = []
        for note in self.notes:
            if note.velocity:  # MIDI's velocity 0 would end another note
                start, end = (round(at * sample_rate) for at in (note.start, note.end))
                rows.append((start, 2, _NOTE_ON | note.channel, int(note.pitch), note.velocity))
                rows.append((max(end, start + 1), 0, _NOTE_OFF | note.channel, int(note.pitch), 0))
        rows += [(round(control.start * sample_rate), 1, *control.message) for control in self.controls]
        table = np.array(sorted(rows, key=lambda row: row[:2]), np.int64).reshape(-1, 5)
        return Messages(table[:, 0], table[:, 2:].astype(np.uint8))

    def packed(self, sample_rate: float, channels: int = CHANNELS, samples: int | None = None) -> Audio:
        """`[channels, samples]` for `Host.render_batch` and other callers that carry arrays. It is no audio."""
        count = self.samples(sample_rate) if samples is None else samples
        return packed(self.messages(sample_rate), count, channels, sample_rate)

    def beside(self, audio: Audio, sample_rate: float) -> Audio:
        """`[C + 1, T]` from `audio: [C, T]`, for `Host.render_batch`: these notes are its last channel, which comes back silent."""
        return beside(audio, self.packed(sample_rate, 1, audio.shape[1]))


def packed_batch(notes: Sequence[Notes], sample_rate: float, channels: int = CHANNELS) -> Audio:
    """`[B, channels, T]`: as long as the longest of them."""
    longest = max(each.samples(sample_rate) for each in notes)
    return np.stack([each.packed(sample_rate, channels, longest) for each in notes])


def name_of(pitch: int) -> str:
    """
    >>> name_of(60), name_of(69), name_of(0)
    ('C4', 'A4', 'C-1')
    """
    names = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
    return f"{names[pitch % 12]}{pitch // 12 - 1}"


def _pitch(pitch: object) -> object:
    if not isinstance(pitch, str):
        return pitch
    found = _NAME.fullmatch(pitch.strip())
    if found is None:
        raise AudioError(
            f"pitch={pitch!r} is no note; write a number from 0 to 127, or a name with its octave: C4 (60), F#3, Bb2"
        )
    number = 12 * (int(found[3]) + 1) + _STEPS[found[1].upper()] + _SHIFTS[found[2]]
    if not 0 <= number <= 127:
        raise AudioError(f"pitch={pitch!r} is {number} as a MIDI number; the lowest note is C-1 (0), the highest G9 (127)")
    return number


def _note(given: Any) -> Note:
    if isinstance(given, Note):
        return given
    if not isinstance(given, Sequence) or isinstance(given, str) or not 1 <= len(given) <= 5:
        raise AudioError(f"{given!r} is no note; give (pitch, velocity, start, length), such as ('C4', 100, 0.0, 0.5)")
    return Note(*given)
