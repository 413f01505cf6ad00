"""How equal two renders are."""

from __future__ import annotations

import numpy as np

from blackbox_grad.effects.audio import Audio

#: The largest relative error between equal renders of an effect that counts as repeatable.
REPEATABLE = 0.1


def relative_error(expected: Audio, got: Audio) -> float:
    """`‖got - expected‖ / ‖expected‖`: 0 for equal bits, infinite if silence is expected and the render is not silent."""
    if np.array_equal(expected, got, equal_nan=True):
        return 0.0
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        error = np.linalg.norm(got.astype(np.float64) - expected) / np.linalg.norm(expected.astype(np.float64))
    return float(error) if np.isfinite(error) else np.inf
