"""More recordings from few: the same in another pitch and tempo."""

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
    """How far pitch and tempo are changed.

    Attributes:
        probability: of a change; otherwise the recording stays as it is. A change costs more than most effects.
        semitones: largest change of pitch, up or down, at most 8.
        tempo: largest factor, faster or slower; 1.25 is from 0.8 to 1.25 times the tempo. At most 1.25.
    """

    probability: float = 0.4
    semitones: float = 4.0
    tempo: float = 1.25

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"probability={self.probability} must lie in [0, 1]")
        if not (0.0 <= self.semitones <= 8.0 and 1.0 <= self.tempo <= 1.25):
            raise ValueError(f"semitones={self.semitones} must lie in [0, 8] and tempo={self.tempo} in [1, 1.25]")

    def draw(self, rng: np.random.Generator) -> Change | None:
        """A change, or None."""
        if rng.random() >= self.probability:
            return None
        tempo = self.tempo ** rng.uniform(-1.0, 1.0)
        return Change(rng.uniform(-self.semitones, self.semitones), tempo)


@dataclass(frozen=True)
class Change:
    """Higher by so many semitones, and faster by a factor."""

    semitones: float
    tempo: float

    def needs(self, length: int) -> int:
        """Samples of the recording that `length` changed ones are made of."""
        return math.ceil(length * self.tempo) + 1

    def apply(self, audio: Audio, length: int, sample_rate: float, host: Host) -> Audio:
        """`[C, needs(length)]` -> `[C, length]`.

        Played faster, the recording is higher too; the pitch shifter then moves the pitch to where it shall be.
        """
        spec = EffectSpec.of(_SHIFTER, sample_rate)
        faster = resample(audio, sample_rate * self.tempo, sample_rate)[:, :length]
        semitones = host.open(spec).parameters[0]
        point = semitones.to_normalised(self.semitones - 12.0 * math.log2(self.tempo))
        shifted: Audio = host.render_batch(spec, faster[None], np.array([[point]]))[0][0]
        return shifted
