"""More recordings from few: the same recordings in another pitch and tempo.

A recording that plays faster is also higher, which costs almost nothing (T. Ko et al., "Audio augmentation for speech recognition",
Interspeech 2015). To change only one of them takes a pitch shifter, which costs more than most effects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from blackbox_grad import EffectSpec, Host
from blackbox_grad.audio_files import resample
from blackbox_grad.effects import Audio

#: Rubber Band, a pitch shifter that keeps the tempo.
_SHIFTER = "pedalboard-builtin:PitchShift"


@dataclass(frozen=True)
class Augmentation:
    """How often and how far pitch and tempo change.

    Attributes:
        probability: of a change; otherwise the recording stays as it is.
        independent: share of the changes that draw pitch and tempo independently; in the others pitch follows tempo.
        semitones: largest change of pitch on its own, up or down, at most 8.
        tempo: largest factor, faster or slower, at most 1.25: from 0.8 to 1.25 times the tempo.
    """

    probability: float = 0.5
    independent: float = 0.25
    semitones: float = 4.0
    tempo: float = 1.25

    def __post_init__(self) -> None:
        if not (0.0 <= self.probability <= 1.0 and 0.0 <= self.independent <= 1.0):
            raise ValueError(f"probability={self.probability} and independent={self.independent} must lie in [0, 1]")
        if not (0.0 <= self.semitones <= 8.0 and 1.0 <= self.tempo <= 1.25):
            raise ValueError(f"semitones={self.semitones} must lie in [0, 8] and tempo={self.tempo} in [1, 1.25]")

    def draw(self, rng: np.random.Generator) -> Change | None:
        """A change, or None."""
        if rng.random() >= self.probability:
            return None
        tempo = self.tempo ** rng.uniform(-1.0, 1.0)
        if rng.random() >= self.independent:
            return Change(_semitones(tempo), tempo)
        return Change(rng.uniform(-self.semitones, self.semitones), tempo)


@dataclass(frozen=True)
class Change:
    """Higher by a number of semitones, and faster by a factor."""

    semitones: float
    tempo: float

    def slower(self) -> Change:
        """The same change with the inverse tempo."""
        tempo = 1.0 / self.tempo
        return Change(self.semitones - _semitones(self.tempo) + _semitones(tempo), tempo)

    def needs(self, length: int) -> int:
        """Samples of the recording that make `length` changed samples."""
        return math.ceil(length * self.tempo) + 1

    def apply(self, audio: Audio, length: int, sample_rate: float, host: Host) -> Audio:
        """`[C, needs(length)]` -> `[C, length]`, by playing it at another speed, and then shifting the pitch."""
        faster = resample(audio, sample_rate * self.tempo, sample_rate)[:, :length]
        shift = self.semitones - _semitones(self.tempo)
        if shift == 0.0:
            return faster
        spec = EffectSpec.of(_SHIFTER, sample_rate)
        point = host.open(spec).parameters[0].to_normalised(shift)
        shifted: Audio = host.render_batch(spec, faster[None], np.array([[point]]))[0][0]
        return shifted


def _semitones(speed: float) -> float:
    """Semitones by which a recording is higher at this speed."""
    return 12.0 * math.log2(speed)
