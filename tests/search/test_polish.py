"""Gauss-Newton steps with renders, on functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.search import Found, Polish, drive

FloatArray = NDArray[np.float64]
FOUR = ParameterSpace([Parameter(f"p{i}") for i in range(4)])


def linear(slopes: FloatArray, hidden: FloatArray) -> Callable[[FloatArray], Found]:
    """Residuals that are linear in the settings and vanish at `hidden`, which may lie outside of the box."""

    def evaluate(points: FloatArray) -> Found:
        residuals = (points - hidden) @ slopes.T
        return np.abs(residuals).sum(axis=1), list(torch.from_numpy(residuals))

    return evaluate


@pytest.mark.parametrize("seed", range(4))
def test_a_parameter_that_ends_at_a_face_is_made_up_for_by_the_others_in_one_step(seed: int) -> None:
    """A step to the minimum of the whole space, cut off at the faces, leaves 3 to 8 % more than the best of the box."""
    strength = np.random.default_rng(seed).standard_normal((300, 4))
    slopes = strength @ (np.sqrt(0.05) * np.eye(4) + np.sqrt(0.95) / 2)  # all parameters do almost the same
    hidden = np.array([-0.6, 0.7, 0.4, 1.5])
    best = lsq_linear(slopes, slopes @ hidden, (0.0, 1.0)).x
    evaluate = linear(slopes, hidden)
    polish = Polish(FOUR, np.full(4, 0.5))
    drive(polish, FOUR, evaluate, renders=1 + 4 + 6, at_once=16)
    assert polish.lowest < 1.005 * evaluate(best[None])[0][0]
    assert polish.best[[0, 3]] == pytest.approx([0.0, 1.0])
