"""The noise and curvature of a function, and the step that its finite differences should have.

J. J. Moré, S. M. Wild, "Estimating computational noise", SIAM J. Sci. Comput. 33(3), 2011, doi:10.1137/100786125, and "Estimating
derivatives of noisy simulations", ACM Trans. Math. Softw. 38(3), 2012, doi:10.1145/2168773.2168777.

A deterministic effect has *computational* noise: float32 rounding, parameters rounded to levels, blocks, smoothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.parameters.parameter import FloatArray

#: Function values that ECnoise needs: enough for differences of the sixth order.
POINTS = 9

#: If the estimates of three successive orders lie within this factor of each other, they measure noise, not the function.
_FACTOR = 4.0

#: Points whose function values differ by more than this part are too far apart: the function hides the noise.
_SPREAD = 0.1

#: A second difference is curvature if it is this many times larger than the noise.
_CLEAR = 100.0


@dataclass(frozen=True)
class NoiseLevel:
    """`level`: the standard deviation, if `verdict` is "found". Otherwise the points were too near or too far apart."""

    verdict: Literal["found", "too near", "too far"]
    level: float = np.nan


def ecnoise(values: ArrayLike, scale: float | None = None) -> NoiseLevel:
    """Noise of a function from its values at `POINTS` equally spaced points.

    The k-th differences of a smooth function fall like the spacing to the power k. Those of independent noise of deviation `ε`
    have the variance `ε² (2k)!/(k!)²`. So where `ε_k² = (k!)²/(2k)! · mean (Δᵏ)²` no longer depends on `k`, it is `ε²`.

    Args:
        values: `[m + 1]`.
        scale: the size of the function; by default the largest value.
    """
    f = np.asarray(values, dtype=np.float64)
    size = float(np.abs(f).max()) if scale is None else scale
    difference = f
    levels, changes = [], []
    gamma = 1.0
    for k in range(1, len(f)):
        difference = np.diff(difference)
        if k == 1 and 2 * np.count_nonzero(difference == 0.0) >= len(difference):
            return NoiseLevel("too near")
        gamma *= 0.5 * k / (2 * k - 1)
        levels.append(float(np.sqrt(gamma * np.mean(difference**2))))
        changes.append(bool(difference.min() < 0.0 < difference.max()))
    if np.ptp(f) > _SPREAD * size:
        return NoiseLevel("too far")
    for k in range(len(levels) - 2):
        window = levels[k : k + 3]
        if changes[k] and max(window) <= _FACTOR * min(window):
            return NoiseLevel("found", levels[k])
    return NoiseLevel("too far")


@dataclass(frozen=True)
class Derivatives:
    """Absolute second and third derivative."""

    second: float
    third: float


def derivatives(here: float, up: Sequence[float], down: Sequence[float], steps: Sequence[float], noise: float) -> Derivatives:
    """From values at a point and at ± each of `steps`, ascending: uses the smallest steps whose differences exceed the noise.

    If no step's differences do, the derivative is the most that the noise can hide at the largest.
    """
    h = np.asarray(steps, dtype=np.float64)
    f, b = np.asarray(up, dtype=np.float64), np.asarray(down, dtype=np.float64)
    second = np.abs(f - 2.0 * here + b)
    i = _first_clear(second, noise)
    # the odd part is φ'h + φ'''h³/6, so slopes over two steps differ by φ'''(h₂² - h₁²)/6
    slope = (f - b) / (2.0 * h)
    bend, reach = np.abs(np.diff(slope)), np.diff(h**2)
    j = _first_clear(bend * h[:-1], noise)
    return Derivatives(
        float(max(second[i], noise) / h[i] ** 2),
        float(6.0 * max(bend[j], noise / h[j]) / reach[j]),
    )


def _first_clear(differences: FloatArray, noise: float) -> int:
    clear = np.flatnonzero(differences >= _CLEAR * noise)
    return int(clear[0]) if len(clear) else len(differences) - 1


def forward_step(noise: float, second: float) -> float:
    """`h* = ⁴√8 · √(ε / |φ''|)`: least expected square error of `(φ(p+h) - φ(p)) / h`."""
    return float(8.0**0.25 * np.sqrt(noise / second))


def central_step(noise: float, third: float) -> float:
    """`h* = ∛(3 ε / |φ'''|)`: least expected square error of `(φ(p+h) - φ(p-h)) / 2h`.

    The square error is the noise's `ε² / 2h²` and the bias's `(φ''' h² / 6)²`; their sum is least at `h⁶ = 9 ε² / φ'''²`.
    """
    return float(np.cbrt(3.0 * noise / third))
