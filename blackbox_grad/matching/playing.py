"""What goes into the plug-in and what comes out of it are made comparable: two recordings, or notes and a recording."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.notes import Notes
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.errors import AudioError
from blackbox_grad.matching.recordings import checked, loudest, prepare

#: The distance by which instruments are matched, and effects.
TONES, RECORDINGS = "tones", "mrstft"


@dataclass(frozen=True)
class Comparison:
    """What is rendered, and what is compared with it.

    Attributes:
        x: `[C, T]`: the input, or packed notes.
        target: `[C, T]`.
        searched: `[C, S]`: the part of `x` that the search renders.
        part: where that is.
        lead: samples at its beginning that are not compared.
        notes: sentences about what was done.
    """

    x: Audio
    target: Audio
    searched: Audio
    part: slice
    lead: int
    notes: list[str]

    @property
    def whole(self) -> bool:
        """Whether the search renders everything."""
        return bool(self.searched.shape[1] == self.x.shape[1])

    @property
    def excerpt(self) -> Audio:
        """`[C, S - lead]`: the target in the search."""
        return self.target[:, self.part.start + self.lead : self.part.stop]


def comparison(sound: Any, target: Any, sample_rate: float, excerpt: float | None) -> Comparison:
    """Of audio `[C, T]`, or of `Notes`, with a target.

    Notes are played as long as the target is. They are searched from the beginning to `excerpt` seconds after the first note.

    Raises:
        AudioError: they cannot be compared.
    """
    if isinstance(sound, Notes):
        wanted = checked("target", target)
        said = _late(sound, wanted.shape[1] / sample_rate)
        part, lead = _beginning(sound, wanted.shape[1], sample_rate, excerpt)
        x, searched = (sound.packed(sample_rate, len(wanted), samples) for samples in (wanted.shape[1], part.stop))
    else:
        x, wanted, said = prepare(sound, target)
        part, lead = loudest(wanted, sample_rate, excerpt)
        searched = np.ascontiguousarray(x[:, part])
    return Comparison(x, wanted, searched, part, lead, said)


def check_takes(info: EffectInfo, sound: Any) -> None:
    """Raise `AudioError` where an instrument got audio, or an effect notes."""
    where = info.spec.address
    if info.takes == "notes" and not isinstance(sound, Notes):
        raise AudioError(
            f"{where} is an instrument: give match the notes that the target plays, not audio: "
            "match(address, Notes.one('C4', seconds=1.0), target), or on the command line --note C4 or --notes riff.mid"
        )
    if info.takes != "notes" and isinstance(sound, Notes):
        raise AudioError(
            f"{where} is an effect: give match the recording that goes into it, not notes; an instrument plays them"
        )


def _late(notes: Notes, seconds: float) -> list[str]:
    late = sum(note.start >= seconds for note in notes.notes)
    if late == len(notes.notes):
        first = min(note.start for note in notes.notes)
        raise AudioError(
            f"match: the first note begins at {first:g} s, and the target ends at {seconds:.3g} s; give notes that the target plays"
        )
    return [f"{late} of {len(notes.notes)} notes begin after the end of the target, and are not played"] if late else []


def _beginning(notes: Notes, length: int, sample_rate: float, seconds: float | None) -> tuple[slice, int]:
    """The samples to play, and how many of them lie before the first note."""
    if seconds is not None and not seconds * sample_rate >= 1.0:
        raise AudioError(f"match: excerpt={seconds} must be a positive number of seconds, or None for the whole")
    first = round(min(note.start for note in notes.notes) * sample_rate)
    if seconds is None or first + seconds * sample_rate >= length:
        return slice(0, length), 0
    return slice(0, first + round(seconds * sample_rate)), first
