"""An emulator: predicts from the settings rendered so far what an effect does at settings that were never rendered.

A loss is one number per render; the sound behind it is thousands. A Gaussian process through the *features of the sound*
learns from all of them, and the loss of its prediction costs no render. Many outputs with one kernel: S. Conti, A. O'Hagan,
"Bayesian emulation of complex multi-output and dynamic computer models", J. Stat. Plan. Inference 140(3), 2010,
doi:10.1016/j.jspi.2009.08.006. Search with one: R. Astudillo, P. I. Frazier, "Bayesian optimization of composite functions",
ICML 2019, arXiv:1906.01537.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.search.kernel import (
    Coordinates,
    covariance,
    covariance_and_slopes,
    slopes_in_lengths_and_weights,
    variance,
)
from blackbox_grad.search.minimise import minimum

#: Numbers kept of a sound's features.
_SKETCH = 4096

#: Renders kept: those with the lowest loss. A prediction costs their number squared.
_KEPT = 128


class Emulator:
    """A Gaussian process from settings to residuals: features of the sound, less those of the target.

    All residuals share one kernel. So their prediction is a weighted sum of those at rendered settings, and its square needs only
    their inner products. These are kept by a sketch: random signs, then sums of every 4096th (K. Weinberger et al., "Feature
    hashing for large scale multitask learning", ICML 2009, arXiv:0902.2206). A sketch is linear: where the residuals vanish, it
    does too.

    Args:
        space: of the settings. Stepped parameters with few levels are lists without an order.
        seed: of the signs.

    Attributes:
        points, losses: `[N, P], [N]`: the renders it has learnt from and kept.
        random: generator for candidates.
    """

    def __init__(self, space: ParameterSpace, seed: int = 0) -> None:
        self.space = space
        self.coordinates = Coordinates(space)
        self.random = np.random.default_rng([seed % 2**63, 1])
        self._signs: Tensor | None = None
        self.points = np.empty((0, len(space)))
        self.losses = np.empty(0)
        self._sketches = self._inner = torch.empty(0, 0, dtype=torch.float64)
        self._new = 0
        count = len(space)
        # logarithms: lengths, weights of the linear term, noise
        self._theta = np.array([math.log(0.5 * math.sqrt(count))] * count + [0.0] * count + [math.log(1e-4)])
        self._prior = self._theta.copy()
        self._spread = np.array([1.0] * count + [1.5] * count + [3.0])

    def __len__(self) -> int:
        return len(self.points)

    @property
    def lowest(self) -> float:
        """The lowest loss it knows; infinity where it knows none."""
        return float(self.losses.min(initial=math.inf))

    @property
    def best(self) -> FloatArray:
        """The settings with the lowest loss it knows, `[P]`."""
        best: FloatArray = self.points[self.losses.argmin()]
        return best

    def add(self, points: FloatArray, losses: FloatArray, residuals: Sequence[Tensor]) -> None:
        """Learn from renders at `points: [N, P]`: `losses: [N]`, and `N` times residuals `[R]`. Infinite losses are left out."""
        use = np.flatnonzero(np.isfinite(losses)).tolist()
        if not use:
            return
        self._new += len(use)
        sketches = [self._sketch(residuals[i]) for i in use]
        self.points, self.losses = np.concatenate([self.points, points[use]]), np.concatenate([self.losses, losses[use]])
        self._sketches = torch.stack([*self._sketches, *sketches])
        across = self._sketches @ self._sketches[-len(use) :].T
        self._inner = torch.cat([torch.cat([self._inner, across[: -len(use)].T]), across], dim=1)
        if len(self) > _KEPT:
            best = np.sort(np.argsort(self.losses, kind="stable")[:_KEPT])
            self.points, self.losses, kept = self.points[best], self.losses[best], torch.from_numpy(best)
            self._sketches, self._inner = self._sketches[kept], self._inner[kept][:, kept]

    def fit(self) -> None:
        """Make ready to predict. The kernel is fitted again when a quarter of the renders is new."""
        self._at = self.coordinates.of(self.points)
        self._products = self._inner / self._inner.diagonal().mean().clamp(min=1e-300)
        if not self._inner.any():  # all sounds equal the target: there is nothing to learn
            self._new = 0
        elif len(self) < 30 or 4 * self._new > len(self):
            self._fit_kernel()
            self._new = 0
        self._lengths, self._weights = self._of_coordinates(self._theta)
        noise = math.exp(self._theta[-1])
        kernel, _ = self._covariance(self._at, self._lengths, self._weights)
        for jitter in noise * 10.0 ** np.arange(12):
            factor, failed = torch.linalg.cholesky_ex(kernel + jitter * torch.eye(len(self), dtype=torch.float64))
            if not failed:
                break
        inverse = torch.cholesky_inverse(factor)
        self._inverse, self._squares = inverse.numpy(), (inverse @ self._products @ inverse).numpy()
        self._scale = float((inverse * self._products).sum()) / len(self)

    def predict(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """At `points: [M, P]`: the square of the predicted residuals, and what uncertainty adds to its expectation, both `[M]`.

        Both relative to the mean square of the residuals it knows.
        """
        at = self.coordinates.of(points)
        known = self._covariance(at, self._lengths, self._weights)[0].numpy()
        unsure = variance(at, self._weights) - ((known @ self._inverse) * known).sum(1)
        square = ((known @ self._squares) * known).sum(1)
        return np.maximum(square, 0.0), np.maximum(unsure, 0.0) * self._scale

    def predict_with_slopes(self, point: FloatArray) -> tuple[float, float, FloatArray, FloatArray]:
        """`predict` at one point `[P]`, and the slopes of both along the parameters, `[P]`; those of lists mean nothing."""
        at = self.coordinates.of(point[None])[0]
        known, slopes = covariance_and_slopes(at, self._at, self._lengths, self._weights)
        explained, weighted = self._inverse @ known, self._squares @ known
        unsure = float(variance(at, self._weights) - known @ explained)
        unsure_slope = 2.0 * ((at - 0.5) * self._weights**2 - slopes.T @ explained)
        if unsure <= 0.0:
            unsure, unsure_slope = 0.0, np.zeros_like(unsure_slope)
        first = self.coordinates.first
        return (
            max(float(known @ weighted), 0.0),
            unsure * self._scale,
            (2.0 * slopes.T @ weighted)[first],
            unsure_slope[first] * self._scale,
        )

    def inner_products(self, indices: Sequence[int]) -> FloatArray:
        """Of the residuals at some of `points`, `[N, N]`."""
        found: FloatArray = self._inner.numpy()[np.ix_(indices, indices)]
        return found

    @property
    def steepness(self) -> tuple[FloatArray, FloatArray]:
        """What the kernel says of each parameter, `[P]`: how steep the residuals are along it, in units of their spread, and the
        length over which that changes."""
        lengths, weights = self._lengths[self.coordinates.first], self._weights[self.coordinates.first]
        return np.sqrt(5.0 / 3.0 / lengths**2 + weights**2), lengths

    def _of_coordinates(self, theta: FloatArray) -> FloatArray:
        """Lengths and weights of the coordinates, `[2, Q]`."""
        found: FloatArray = torch.from_numpy(theta).exp().numpy()[:-1].reshape(2, -1)[:, self.coordinates.owner]
        return found

    def _covariance(self, at: FloatArray, lengths: FloatArray, weights: FloatArray) -> tuple[Tensor, Tensor]:
        places = (torch.from_numpy(a) for a in (at, self._at, lengths, weights))
        return covariance(*places)

    def _fit_kernel(self) -> None:
        """The most probable lengths, weights and noise, given the inner products and a broad prior."""
        # residuals are not independent of each other: as many count as there are directions in which they spread
        spectrum = torch.linalg.eigvalsh(self._products).clamp(min=0.0)
        outputs = max(1.0, float(spectrum.sum() ** 2 / spectrum.square().sum()))
        count, owner = len(self), self.coordinates.owner
        unit = torch.eye(count, dtype=torch.float64)

        def improbable(theta: FloatArray) -> tuple[float, FloatArray]:
            lengths, weights = self._of_coordinates(theta)
            kernel, distance = self._covariance(self._at, lengths, weights)
            noise = math.exp(theta[-1])
            factor, failed = torch.linalg.cholesky_ex(kernel + noise * unit)
            if failed:
                return 1e10, np.zeros_like(theta)
            inverse = torch.cholesky_inverse(factor)
            explained = inverse @ self._products
            scale = float(explained.trace()) / count
            fit = count * math.log(scale) + 2.0 * float(torch.log(factor.diagonal()).sum())
            away = (theta - self._prior) / self._spread
            value = 0.5 * outputs * fit + 0.5 * float(away @ away)
            to_kernel = 0.5 * outputs * (inverse - explained @ inverse / scale)
            to_lengths, to_weights = slopes_in_lengths_and_weights(to_kernel, self._at, distance, lengths, weights)
            slope = np.concatenate(
                [np.bincount(owner, to_lengths), np.bincount(owner, to_weights), [noise * float(to_kernel.trace())]]
            )
            return value, np.nan_to_num(slope + away / self._spread)

        bounds = [(-3.0, 4.0)] * len(self.space) + [(-6.0, 5.0)] * len(self.space) + [(math.log(1e-8), 0.0)]
        found, value = minimum(improbable, self._theta, bounds, 20)
        if np.isfinite(found).all() and value < 1e10:
            self._theta = found

    def _sketch(self, residuals: Tensor) -> Tensor:
        """`[R]` -> `[4096]`."""
        length = len(residuals)
        if length <= _SKETCH:
            return residuals.double()
        if self._signs is None:
            self._signs = torch.from_numpy(self.random.choice(np.array([-1.0, 1.0], np.float32), length))
        signed = torch.nn.functional.pad(residuals * self._signs, (0, -length % _SKETCH))
        return signed.reshape(-1, _SKETCH).sum(0).double()
