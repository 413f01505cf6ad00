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
    """Renders batches. Every method may be called from any thread, and blocks until its result is there.

    `renders` and `nonfinite` count, over the host's life, all renders made and those among them with NaN or infinity.

    Two attributes are optional: `closed`, whether it was closed, so that the default host is made anew; and `hosts`, how many
    renders it makes at once. `blackbox_grad.testing.check_host` tests these promises.
    """

    renders: int
    nonfinite: int

    def open(self, spec: EffectSpec) -> EffectInfo:
        """Open the effect if it is not open yet, and describe it."""
        ...

    def share(self, audio: Audio) -> Audio:
        """The same audio where the host can read it: given to several calls, it is copied once."""
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
        """Let all effects and processes go. Safe to call twice."""
        ...
