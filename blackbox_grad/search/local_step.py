"""A Gauss-Newton step that needs no render: the residuals near the best settings, from those that were rendered there anyway.

An emulator of the whole box cannot explain everything. Near the best settings, what it cannot explain is more than what is left
to gain. There the residuals are almost linear in the settings: their slopes are a regression through the rendered ones, in
which nearer renders count more (W. S. Cleveland, "Robust locally weighted regression and smoothing scatterplots", J. Am. Stat.
Assoc. 74(368), 1979, doi:10.1080/01621459.1979.10481038). The step minimises the square that they predict (C. Cartis, L.
Roberts, "A derivative-free Gauss-Newton method", Math. Program. Comput. 11, 2019, doi:10.1007/s12532-019-00161-7).
"""

from __future__ import annotations

import numpy as np

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.search.emulator import Emulator
from blackbox_grad.search.minimise import minimum

#: How far a function departs from a straight line, in units of its spread and of the square of a move by its length. From 0.4 to
#: 2.5, which is half the standard deviation of a Matérn-5/2 process's second derivative, it made no difference to 47 tasks.
_CURVED = 1.0

#: Differences between settings nearer than this are mostly rounding.
_TOO_NEAR = 1e-4


def local_step(emulator: Emulator) -> FloatArray:
    """From the best settings that a fitted emulator knows, `[P]`; stepped parameters stay."""
    best, smooth = int(emulator.losses.argmin()), emulator.coordinates.smooth
    point: FloatArray = emulator.points[best].copy()
    alike = (np.delete(emulator.points, smooth, 1) == np.delete(point, smooth)).all(1)
    apart = np.abs(emulator.points - point).max(1) >= _TOO_NEAR
    use = np.flatnonzero(alike & apart)
    if len(smooth) and len(use):
        here = point[smooth]
        slopes, lengths = (found[smooth] for found in emulator.steepness)
        inner = emulator.inner_products([best, *use])
        step = gauss_newton(emulator.points[np.ix_(use, smooth)] - here, inner, -here, 1.0 - here, slopes, lengths)
        point[smooth] = np.clip(here + step, 0.0, 1.0)
    return point


def gauss_newton(
    moves: FloatArray, inner: FloatArray, low: FloatArray, high: FloatArray, slopes: FloatArray, lengths: FloatArray
) -> FloatArray:
    """The step `[P]` from the best settings to where the residuals are expected to be the smallest.

    A straight line is wrong by about the square of a distance. So renders weigh as much as the fourth power of their nearness;
    slopes that they leave open, and the length of the step, add to the expected square.

    Args:
        moves: `[N, P]`: from the best settings to others.
        inner: `[1 + N, 1 + N]`: inner products of the residuals there, the best ones' first.
        low, high: `[P]`: bounds of the step.
        slopes: `[P]`: how steep the residuals are along each parameter, in units of their spread.
        lengths: `[P]`: over which the slopes change.
    """
    here, apart, between = inner[0, 0], inner[1:, 0], inner[1:, 1:]
    wrong = np.maximum(_CURVED * np.square(moves / lengths).sum(1), 1e-12)
    # the slopes' posterior in units of `slopes`, by a decomposition, as renders differ in weight by many orders of magnitude
    left, size, right = np.linalg.svd(moves * slopes / wrong[:, None], full_matrices=False)
    known = size**2 / (1 + size**2)
    unsure = np.eye(len(slopes)) - right.T * known @ right
    fit = right.T * (size / (1 + size**2)) @ left.T / wrong
    found = fit @ (between - apart[:, None] - apart + here) @ fit.T
    fall = fit @ (apart - here)
    # the square of the spread: slopes count by how much of them is known
    spread = max(float(np.trace(found)), 0.0) / max(float(known.sum()), 1e-9)
    square = found + spread * unsure
    bent = _CURVED / np.square(slopes * lengths)
    unit = max(float(here), 1e-300)

    def expected(step: FloatArray) -> tuple[float, FloatArray]:
        ahead, wrong = square @ step, float(bent @ step**2)
        value = float(step @ ahead) + 2 * float(fall @ step) + spread * wrong**2
        return value / unit, (2 * ahead + 2 * fall + 4 * spread * wrong * bent * step) / unit

    bounds = list(zip(low * slopes, high * slopes, strict=True))
    return minimum(expected, np.zeros(len(slopes)), bounds, 50)[0] / slopes
