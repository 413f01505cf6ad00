"""Laws of instruments, which `check_effect` checks beside those of effects."""

from __future__ import annotations

import numpy as np

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.notes import Control, Note, Notes
from blackbox_grad.effects.packing import Messages, packed
from blackbox_grad.testing.examination import SLACK, Examination, Law, relative_error

#: Peaks below this part of a note's are silence: -80 dB.
_SILENT = 1e-4

#: Seconds of a short note, and of the longest time in which it may fade.
_SHORT, _FADE = 0.1, 8.0

#: What is left of a note at the end of that time, as part of the same note while it is held, or of its peak: -26 dB, -60 dB.
_LEFT, _FADED = 0.05, 1e-3

#: Modulation, volume, the pedal, and a bend.
_CONTROLS = ((0xB0, 1, 100), (0xB0, 7, 20), (0xB0, 64, 127), (0xE0, 127, 127))


def _render(exam: Examination, notes: Notes | Messages, seconds: float) -> Audio:
    """In stereo, at the defaults."""
    rate = exam.effect.sample_rate
    messages = notes.messages(rate) if isinstance(notes, Notes) else notes
    return exam.effect.render(packed(messages, round(seconds * rate), 2, rate), exam.effect.parameters.defaults)


def _peak(audio: Audio) -> float:
    return float(np.abs(audio).max())


def _messages(exam: Examination, *rows: tuple[int, int, int]) -> Messages:
    """One message every 10 ms."""
    times = np.round(np.arange(len(rows)) * 0.01 * exam.effect.sample_rate).astype(np.int64)
    return Messages(times, np.array(rows, np.uint8).reshape(-1, 3))


def _notes_are_heard(exam: Examination) -> None:
    loudness = _peak(_render(exam, Notes.one("C4", 0.5), 0.5))
    exam.require(loudness > 0.0, "a C4 of half a second is silent at the defaults")


def _silence_without_notes(exam: Examination) -> None:
    loudness = _peak(_render(exam, Notes.one("C4", 0.5), 0.5))
    for after in (False, True):  # nor is the note before still heard
        found = _peak(_render(exam, _messages(exam), 0.5))
        what = "after a note" if after else "at once"
        exam.require(found <= _SILENT * loudness, f"without notes it sounds {what}: peak {found:.3g}, of a note {loudness:.3g}")
        _render(exam, Notes.one("C4", 60.0), 0.2)


def _a_note_ends(exam: Examination) -> None:
    """However it is made, a note that was let go becomes quieter than one that is held, or inaudible."""
    seconds = _SHORT + _FADE
    last = slice(-round(0.25 * exam.effect.sample_rate), None)
    short, held = (_render(exam, Notes.one("C4", length), seconds) for length in (_SHORT, 2 * seconds))
    left, still = _peak(short[:, last]), _peak(held[:, last])
    exam.require(
        left <= max(_LEFT * still, _FADED * _peak(short)),
        f"{_FADE:g} s after a note of {_SHORT:g} s its peak is {left:.3g}, and {still:.3g} while it is held",
    )


def _nothing_is_heard_before_it_begins(exam: Examination) -> None:
    seconds, begins = 0.6, 0.3
    first = Note("C4", 100, 0.0, 0.2)
    alone, both = (_render(exam, Notes(notes, 1.0), seconds) for notes in ([first], [first, Note("G4", 100, begins, 0.2)]))
    before = slice(0, round(begins * exam.effect.sample_rate))
    error = relative_error(alone[:, before], both[:, before])
    exam.require(error <= SLACK * exam.effect.repeatability, f"a note changes what was before it: relative error {error:.3g}")
    error = relative_error(alone, both)
    exam.require(error > SLACK * exam.effect.repeatability, "a second note is not heard")


def _velocity_0_is_silent(exam: Examination) -> None:
    """A note of velocity 0 ends the note of its pitch in MIDI, and begins none."""
    nothing = _render(exam, _messages(exam), 0.5)
    for pitch in (36, 60, 84):
        exam.require_same(nothing, _render(exam, _messages(exam, (0x90, pitch, 0)), 0.5), "with a note of velocity 0")


def _controllers_are_forgotten(exam: Examination) -> None:
    """A bend, a pedal or a volume of one render is not heard in the next."""
    note = Note("C4", 100, 0.0, 0.2)
    expected = _render(exam, Notes([note], 0.3), 0.3)
    _render(exam, Notes([note], 0.3, [Control(0.1, message) for message in _CONTROLS]), 0.3)
    exam.require_same(expected, _render(exam, Notes([note], 0.3), 0.3), "after a render with controllers")


def _equal_items_are_equal(exam: Examination) -> None:
    """In a batch, order does not matter, and two equal sequences are equal."""
    batch = [exam.noise(2, exam.samples) for _ in range(3)]
    batch.append(batch[0].copy())
    point = exam.effect.parameters.defaults
    forward = [exam.effect.render(each, point) for each in batch]
    backward = [exam.effect.render(each, point) for each in reversed(batch)][::-1]
    for i, (one, other) in enumerate(zip(forward, backward, strict=True)):
        exam.require_same(one, other, f"as item {i} of a batch and in the reverse order")
    exam.require_same(forward[0], forward[-1], "as the first and as the last item of a batch")


#: The laws, by name, in the order in which they are checked.
INSTRUMENT_LAWS: tuple[Law, ...] = (
    ("notes are heard", _notes_are_heard),
    ("silence without notes", _silence_without_notes),
    ("a note ends", _a_note_ends),
    ("nothing is heard before it begins", _nothing_is_heard_before_it_begins),
    ("velocity 0 is silent", _velocity_0_is_silent),
    ("controllers are forgotten", _controllers_are_forgotten),
    ("equal items are equal", _equal_items_are_equal),
)
