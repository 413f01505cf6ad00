"""The kernel of the emulator: a constant, a linear term and a Matérn-5/2, each with derivatives beside it.

    k(a, b) = constant + (w(a - ½))ᵀ(w(b - ½)) + (1 + d + d²/3) exp(-d),   d = √5 ‖(a - b) / l‖

with a length `l` and a weight `w` for each coordinate. C. E. Rasmussen, C. K. I. Williams, "Gaussian Processes for Machine
Learning", MIT Press 2006, section 4.2.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace

#: Variance of the constant, in units of what the settings do to the features.
CONSTANT = 100.0

#: A stepped parameter with so many levels or fewer is a list without an order.
FEW_LEVELS = 8


class Coordinates:
    """Where settings lie for the kernel: a level of a list becomes a coordinate of its own, so that all are equally far apart.

    Attributes:
        owner: `[Q]`: the parameter of each coordinate.
        first: `[P]`: the first coordinate of each parameter.
        smooth: indices of the continuous parameters.
    """

    def __init__(self, space: ParameterSpace) -> None:
        self._levels = [p.levels if p.levels is not None and 2 < p.levels <= FEW_LEVELS else 1 for p in space]
        self.owner = np.repeat(np.arange(len(space)), self._levels)
        self.first = np.searchsorted(self.owner, np.arange(len(space)))
        self.smooth = np.flatnonzero([p.levels is None for p in space])

    def of(self, points: FloatArray) -> FloatArray:
        """`[M, P]` -> `[M, Q]`."""
        if len(self.owner) == len(self._levels):
            return points
        columns = []
        for values, levels in zip(points.T, self._levels, strict=True):
            if levels == 1:
                columns.append(values[:, None])
            else:
                columns.append(math.sqrt(0.5) * np.eye(levels)[np.rint(values * (levels - 1)).astype(int)])
        return np.concatenate(columns, 1)


def covariance(a: Tensor, b: Tensor, lengths: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """`[N, Q], [M, Q]` -> `[N, M]`, and the distances `d` in it."""
    near, far = a / lengths, b / lengths
    square = (near.square().sum(1)[:, None] + far.square().sum(1) - 2 * near @ far.T).clamp(min=1e-12)
    distance = torch.sqrt(5.0 * square)
    linear = CONSTANT + ((a - 0.5) * weights) @ ((b - 0.5) * weights).T
    kernel: Tensor = linear + (1.0 + distance + distance.square() / 3.0) * torch.exp(-distance)
    return kernel, distance


def variance(at: FloatArray, weights: FloatArray) -> FloatArray:
    """`k(a, a)`: `[M, Q]` -> `[M]`."""
    found: FloatArray = CONSTANT + np.square((at - 0.5) * weights).sum(-1) + 1.0
    return found


def covariance_and_slopes(
    at: FloatArray, others: FloatArray, lengths: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Of one place `[Q]` with `others: [N, Q]`: the covariances `[N]`, and their slopes along the place, `[N, Q]`."""
    apart = (at - others) / lengths
    distance = np.sqrt(5.0 * np.maximum(np.square(apart).sum(1), 1e-12))
    decay = np.exp(-distance)
    centred = (others - 0.5) * weights**2
    found = CONSTANT + centred @ (at - 0.5) + (1.0 + distance + distance**2 / 3.0) * decay
    slopes = centred - (5.0 / 3.0 * (1.0 + distance) * decay)[:, None] * apart / lengths
    return found, slopes


def slopes_in_lengths_and_weights(
    to_kernel: Tensor, at: FloatArray, distance: Tensor, lengths: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The slopes of a function of the kernel's matrix along the logarithms of lengths and weights, `[Q]` each.

    Args:
        to_kernel: `[N, N]`: the function's slopes along the entries of the matrix.
        at: `[N, Q]`.
        distance: as `covariance` returned it.
    """
    to_square = (to_kernel * (1.0 + distance) * torch.exp(-distance) * (5.0 / 3.0)).numpy()
    # Σ aᵢⱼ (xᵢ - xⱼ)² is 2 Σ xᵢ² Σⱼ aᵢⱼ - 2 xᵀ a x
    near, centred = at / lengths, at - 0.5
    to_lengths = 2.0 * (to_square.sum(0) @ near**2 - (near * (to_square @ near)).sum(0))
    to_weights = 2.0 * weights**2 * (centred * (to_kernel.numpy() @ centred)).sum(0)
    return to_lengths, to_weights
