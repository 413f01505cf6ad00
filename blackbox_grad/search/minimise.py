"""Minima of functions with slopes, in a box."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from blackbox_grad.dependencies import library
from blackbox_grad.parameters.parameter import FloatArray


def minimum(
    function: Callable[[FloatArray], tuple[float, FloatArray]],
    start: FloatArray,
    bounds: list[tuple[float, float]],
    iterations: int,
) -> tuple[FloatArray, float]:
    """A local minimum in a box, and the value there, of a function that returns its value and its slopes."""
    optimize = library("scipy.optimize", "searching with an emulator")
    found = optimize.minimize(function, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": iterations})
    return np.clip(found.x, *np.array(bounds).T), float(found.fun)
