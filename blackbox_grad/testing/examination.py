"""What the laws of effects work with: an effect under test, its test signal, and what was measured so far."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.protocols import Effect
from blackbox_grad.effects.tunes import tune

#: A declared repeatability was measured on a few renders. Others may be worse by this factor.
SLACK = 2.0

#: Lengths in samples, short, prime and odd: one sample, less than a block, more than a block.
LENGTHS = (1, 17, 4097)

#: The same for notes, which need some room.
_LENGTHS_OF_NOTES = (32, 97, 4097)


class CheckFailed(AssertionError):
    """An effect, estimator, host or loss broke a law."""


@dataclass
class Examination:
    """An effect under test, its test signal, and the measurements so far."""

    effect: Effect
    law: str
    rng: np.random.Generator
    samples: int
    repeatability: float = 0.0
    dead: list[str] = field(default_factory=list)

    def noise(self, channels: int, samples: int, level: float = 0.25) -> Audio:
        """`[channels, samples]`: noise that rises and falls in level, with a silent gap: it opens gates and feeds tails.

        For an instrument some notes, other ones each time.
        """
        if self.plays:
            return self.tune(channels, samples, round(min(127, 400 * level)), 40 + int(self.rng.integers(12)))
        time = np.linspace(0.0, 1.0, samples)
        shape = np.where((time > 0.6) & (time < 0.8), 0.0, np.sin(np.pi * np.minimum(1.0, 4 * time + 0.05)) ** 2 + 0.1)
        return np.ascontiguousarray(level * shape * self.rng.standard_normal((channels, samples)), dtype=np.float32)

    @property
    def plays(self) -> bool:
        """Whether the effect is an instrument."""
        return getattr(self.effect, "takes", "audio") == "notes"

    @property
    def lengths(self) -> tuple[int, ...]:
        """Samples: fewer than a block, and more."""
        return _LENGTHS_OF_NOTES if self.plays else LENGTHS

    def tune(self, channels: int, samples: int, velocity: int = 100, lowest: int = 45) -> Audio:
        """Packed notes."""
        if samples == 0:
            return np.zeros((channels, 0), np.float32)
        return tune(samples, channels, self.effect.sample_rate, velocity, lowest)

    def silence(self, channels: int, samples: int) -> Audio:
        """Audio without sound, or a time without notes."""
        return self.tune(channels, samples, velocity=0) if self.plays else np.zeros((channels, samples), np.float32)

    def require(self, condition: bool, message: str) -> None:
        if not condition:
            raise CheckFailed(f"{self.effect.name}: law {self.law!r} is broken: {message}")

    def require_same(self, expected: Audio, got: Audio, when: str) -> None:
        error = relative_error(expected, got)
        self.repeatability = max(self.repeatability, error)
        declared = self.effect.repeatability
        self.require(
            error <= SLACK * declared,
            f"the same audio and point rendered differently {when}: relative error {error:.3g}, "
            f"declared repeatability {declared:.3g}",
        )

    def far_points(self) -> list[NDArray[np.float64]]:
        count = len(self.effect.parameters)
        return [np.zeros(count), np.ones(count), self.rng.uniform(size=count)]


def relative_error(expected: Audio, got: Audio) -> float:
    """`‖got - expected‖ / ‖expected‖`: 0 for equal bits, infinite if shapes or non-finite samples differ."""
    if expected.shape != got.shape:
        return np.inf
    if np.array_equal(expected, got, equal_nan=True):
        return 0.0
    reference = expected.astype(np.float64)
    error, scale = np.linalg.norm(got - reference), np.linalg.norm(reference)
    return float(error / scale) if np.isfinite(error) and scale > 0 else np.inf


Law: TypeAlias = "tuple[str, Callable[[Examination], None]]"
