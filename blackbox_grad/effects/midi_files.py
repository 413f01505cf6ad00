"""MIDI files, read with `mido`."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Any, TypeAlias

from blackbox_grad.dependencies import library
from blackbox_grad.effects.packing import MOST_EVENTS
from blackbox_grad.errors import AudioError, BlackboxGradError
from blackbox_grad.files import content_of

#: Bank select: with a change of program it would load other settings than the parameters say.
_BANK = (0, 32)

#: The longest time of a note, seconds: a damaged file may wait for days.
_LONGEST = 86_400.0

#: Microseconds a beat before a file says otherwise: 120 beats a minute.
_TEMPO = 500_000

#: Arguments of a `Note`: pitch, velocity, start and length in seconds, channel.
NoteRow: TypeAlias = tuple[int, int, float, float, int]

#: Arguments of a `Control`: seconds, and three bytes.
ControlRow: TypeAlias = tuple[float, tuple[int, int, int]]


def read(path: str | os.PathLike[str]) -> tuple[list[NoteRow], list[ControlRow]]:
    """What a file plays, as arguments of `Note` and `Control`."""
    mido = library("mido", "reading a MIDI file")
    where = os.fspath(path)
    content = content_of(path)
    try:
        file = mido.MidiFile(file=io.BytesIO(content))
        notes, controls = _read(file, where)
    except BlackboxGradError:
        raise
    except Exception as error:  # EOFError, KeySignatureError, ValueError, IndexError, …
        raise AudioError(f"{where} is no MIDI file, or is damaged ({type(error).__name__}: {error})") from error
    if not notes:
        raise AudioError(f"{where} has no notes: the MIDI file holds {len(controls)} controllers and nothing to play")
    return notes, controls


def _read(file: Any, where: str) -> tuple[list[NoteRow], list[ControlRow]]:
    """A note ends with its note-off, with the next note-on of its pitch, or with the file."""
    notes: list[NoteRow] = []
    controls: list[ControlRow] = []
    sounding: dict[tuple[int, int], tuple[float, int]] = {}

    def end(key: tuple[int, int], now: float) -> None:
        if key in sounding:
            start, velocity = sounding.pop(key)
            notes.append((key[1], velocity, start, now - start, key[0]))

    now = 0.0
    for now, message in _timed(file, where):
        if now > _LONGEST:
            raise AudioError(f"{where} lasts more than a day; it may be damaged")
        if message.type in ("note_on", "note_off"):
            key = message.channel, message.note
            end(key, now)
            if message.type == "note_on" and message.velocity:
                sounding[key] = now, message.velocity
        elif message.type in ("pitchwheel", "aftertouch", "polytouch") or (
            message.type == "control_change" and message.control not in _BANK
        ):
            status, first, *rest = message.bytes()
            controls.append((now, (status, first, rest[0] if rest else 0)))
        if len(notes) + len(sounding) + len(controls) > MOST_EVENTS:
            raise AudioError(f"{where} has more than {MOST_EVENTS} notes and controls; split it, or thin its controllers")
    for key in list(sounding):
        end(key, now)
    return sorted(notes, key=lambda row: (row[2], row[0])), controls


def _timed(file: Any, where: str) -> Iterator[tuple[float, Any]]:
    """All messages of all tracks, each with its time in seconds. (To iterate over mido's own file copies each three times.)"""
    if file.type == 2:
        raise AudioError(f"{where} holds songs that are not played together (MIDI type 2); save them as files of their own")
    if file.ticks_per_beat <= 0:
        raise AudioError(f"{where} counts time in frames of a film (SMPTE), which is not read; save it with ticks a beat")
    rows: list[tuple[int, Any]] = []
    for track in file.tracks:
        tick = 0
        for message in track:
            tick += message.time
            rows.append((tick, message))
    last, now, seconds_a_tick = 0, 0.0, _TEMPO * 1e-6 / file.ticks_per_beat
    for tick, message in sorted(rows, key=lambda row: row[0]):
        last, now = tick, now + (tick - last) * seconds_a_tick
        if message.type == "set_tempo":
            seconds_a_tick = message.tempo * 1e-6 / file.ticks_per_beat
        yield now, message
