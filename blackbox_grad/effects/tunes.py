"""The test signal of an instrument: a few notes, packed. It stands where noise stands for an effect."""

from __future__ import annotations

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.notes import Note, Notes
from blackbox_grad.effects.packing import beside

#: Start and length as shares of the signal, semitones above the lowest note, and share of the velocity. Then nothing, in which
#: all may fade.
_TUNE = ((0.0, 0.25, 0, 1.0), (0.02, 0.2, 7, 0.9), (0.3, 0.2, 12, 0.5), (0.55, 0.15, 24, 1.0))


def tune(samples: int, channels: int, sample_rate: float, velocity: int = 100, lowest: int = 45) -> Audio:
    """`[channels, samples]`. Velocity 0 plays nothing."""
    seconds = samples / sample_rate
    notes = [
        Note(min(127, lowest + above), round(share * velocity), start * seconds, length * seconds)
        for start, length, above, share in _TUNE
    ]
    return Notes(notes, seconds).packed(sample_rate, channels, samples)


def accompanied(audio: Audio, sample_rate: float) -> Audio:
    """`[C, T]` -> `[C + 1, T]`: with a tune beside it, for an effect that listens to notes."""
    return beside(audio, tune(audio.shape[1], 1, sample_rate))
