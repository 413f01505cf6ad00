"""What a host promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.parameters.parameter import FloatArray

if TYPE_CHECKING:
    import numpy as np


class Host(Protocol):
    """Renders batches. Any thread may call any method, which blocks until its result is there.

    Over the host's life, `renders` counts its renders, and `nonfinite` counts those with NaN or infinity.

    Two attributes are optional. `closed`: whether it was closed; the default host is then replaced. `hosts`: how many renders it
    makes at once. And two methods: `ask(spec, question, arguments)` has an effect answer one of `answering.QUESTIONS`, as for its
    presets; `probe_segments(spec, audio, points, cotangent, bounds)` gives the cotangent probes of each part of the audio, from
    sample `bounds[s]` to `bounds[s + 1]`, `[K, B, S] float64`; without it whole renders travel.
    `blackbox_grad.testing.check_host` tests these promises.
    """

    renders: int
    nonfinite: int

    def open(self, spec: EffectSpec) -> EffectInfo:
        """Open the effect if it is not open yet, and describe it."""
        ...

    def share(self, audio: Audio) -> Audio:
        """The same audio in memory that the host can read, so that several calls with it make one copy."""
        ...

    def render_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray) -> tuple[Audio, NDArray[np.bool_]]:
        """Render each item at its point, or at several.

        Args:
            spec: the effect.
            audio: `[B, C, T] float32`.
            points: `[B, P]` or `[K, B, P]` in [0, 1].

        Returns:
            audio of shape `[B, C, T]` or `[K, B, C, T]`, and which renders are finite, `[B]` or `[K, B]`.
        """
        ...

    def probe_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray, cotangent: Audio) -> FloatArray:
        """Cotangent probes: `⟨ȳ, f(x, p)⟩` for each item and point; the dot product is taken where the render happens.

        Args:
            spec: the effect.
            audio: `[B, C, T] float32`.
            points: `[K, B, P]` in [0, 1].
            cotangent: `[B, C, T] float32`.

        Returns:
            `[K, B] float64`; NaN where a render was not finite.
        """
        ...

    def close(self) -> None:
        """Close all effects and end all processes. Safe to call twice."""
        ...
