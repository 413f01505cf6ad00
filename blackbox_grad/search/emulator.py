"""An emulator: what an effect will sound like at settings that were never rendered, foretold from those that were.

A loss is one number a render, the sound it was computed from is thousands. A Gaussian process through the *features of the sound*
learns from all of them, and the loss of its prediction is known without a render. Many outputs with one kernel: S. Conti,
A. O'Hagan, "Bayesian emulation of complex multi-output and dynamic computer models", J. Stat. Plan. Inference 140(3), 2010,
doi:10.1016/j.jspi.2009.08.006. To search with one: R. Astudillo, P. I. Frazier, "Bayesian optimization of composite functions",
ICML 2019, arXiv:1906.01537.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.search.local_step import gauss_newton
from blackbox_grad.search.minimise import minimum

#: Numbers that are left of a sound's features.
_SKETCH = 4096


#: Renders that are remembered: those with the lowest loss. A prediction costs their number squared.
_REMEMBERED = 128


#: A stepped parameter with so many levels or fewer is taken for a list without an order.
_FEW_LEVELS = 8


#: Variance of the kernel's constant, in units of what the settings do to the features.
_CONSTANT = 100.0


#: Settings that differ by less are the same.
SAME = 1e-4


#: Distances at which candidates are drawn around the best settings.
_DISTANCES = (0.3, 0.1, 0.03, 0.01, 0.003)


class Emulator:
    """A Gaussian process from settings to residuals: features of the sound, less those of the target.

    Its kernel is a constant, a linear term and a Matérn-5/2 with a length for each parameter. As all residuals share it, their
    prediction is a weighted sum of those at rendered settings, and its square needs only their inner products. These are kept by
    a sketch: random signs, then sums of every 4096th (K. Weinberger et al., "Feature hashing for large scale multitask
    learning", ICML 2009, arXiv:0902.2206). A sketch is linear, so where the residuals vanish it does.

    Args:
        space: of the settings. Stepped parameters of few levels are taken for lists without an order.
        seed: of the signs and of the candidates.

    Attributes:
        points, losses: `[N, P], [N]`: what it has learnt from and remembers.
    """

    def __init__(self, space: ParameterSpace, seed: int = 0) -> None:
        self.space = space
        self._random = np.random.default_rng([seed % 2**63, 1])
        #: coordinates of each parameter, the parameter of each coordinate, the first coordinate of each parameter
        self._levels = [p.levels if p.levels is not None and 2 < p.levels <= _FEW_LEVELS else 1 for p in space]
        self._owner = np.repeat(np.arange(len(space)), self._levels)
        self._first = np.searchsorted(self._owner, np.arange(len(space)))
        self._smooth = np.flatnonzero([p.levels is None for p in space])
        self._signs: Tensor | None = None
        self.points = np.empty((0, len(space)))
        self.losses = np.empty(0)
        #: losses at all points that were rendered, by the bytes of these
        self._heard: dict[bytes, float] = {}
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

    def loss_at(self, point: FloatArray) -> float:
        """The loss at a point `[P]` that was rendered, be it forgotten meanwhile; infinity where it is not known."""
        return self._heard.get(np.asarray(point, np.float64).tobytes(), math.inf)

    def add(self, points: FloatArray, losses: FloatArray, residuals: Sequence[Tensor]) -> None:
        """Learn from renders at `points: [N, P]`: `losses: [N]`, and `N` times residuals `[R]`. Infinite losses are left out."""
        use = np.flatnonzero(np.isfinite(losses)).tolist()
        if not use:
            return
        self._new += len(use)
        self._heard.update({points[i].astype(np.float64).tobytes(): float(losses[i]) for i in use})
        sketches = [self._sketch(residuals[i]) for i in use]
        self.points, self.losses = np.concatenate([self.points, points[use]]), np.concatenate([self.losses, losses[use]])
        self._sketches = torch.stack([*self._sketches, *sketches])
        across = self._sketches @ self._sketches[-len(use) :].T
        self._inner = torch.cat([torch.cat([self._inner, across[: -len(use)].T]), across], dim=1)
        if len(self) > _REMEMBERED:
            best = np.sort(np.argsort(self.losses, kind="stable")[:_REMEMBERED])
            self.points, self.losses, kept = self.points[best], self.losses[best], torch.from_numpy(best)
            self._sketches, self._inner = self._sketches[kept], self._inner[kept][:, kept]

    def fit(self) -> None:
        """Make ready for `propose` and `step`: the kernel is fitted anew when a quarter of the renders is new."""
        self._at = self._coordinates(self.points)
        self._products = self._inner / self._inner.diagonal().mean().clamp(min=1e-300)
        if not self._inner.any():  # all sounds are the target: nothing is to be learnt
            self._new = 0
        elif len(self) < 30 or 4 * self._new > len(self):
            self._fit_kernel()
            self._new = 0
        theta = torch.from_numpy(self._theta)
        of_coordinates = theta.exp()[:-1].reshape(2, -1)[:, self._owner].numpy()
        self._lengths, self._weights = of_coordinates
        at, noise = torch.from_numpy(self._at), float(theta[-1].exp())
        kernel, _ = self._kernel(at, at, theta)
        for jitter in noise * 10.0 ** np.arange(12):
            factor, failed = torch.linalg.cholesky_ex(kernel + jitter * torch.eye(len(self), dtype=torch.float64))
            if not failed:
                break
        inverse = torch.cholesky_inverse(factor)
        self._inverse, self._squares = inverse.numpy(), (inverse @ self._products @ inverse).numpy()
        self._variance = float((inverse * self._products).sum()) / len(self)

    def propose(self, around: FloatArray, curiosity: float) -> FloatArray:
        """The settings `[P]` most worth a render.

        Args:
            around: `[P]`: the best settings so far, near which candidates are drawn, beside those from the whole box.
            curiosity: 0 for the lowest expected square of the residuals, uncertainty included; more prefers settings of which
                little is known.
        """

        def worth(square: Any, variance: Any) -> tuple[Any, Any, Any]:
            """The logarithm of what is to be minimised, and its slopes in both."""
            square = square + 1e-14
            sure = 1.0 / (square + variance)
            if curiosity == 0.0:
                return -np.log(sure), sure, sure
            return (
                np.log(square) - curiosity * np.log1p(variance / square),
                (1.0 + curiosity) / square - curiosity * sure,
                -curiosity * sure,
            )

        candidates = self._candidates(around)
        values = worth(*self._predict(candidates))[0]
        start = int(values.argmin())
        best: FloatArray = candidates[start]
        if not len(self._smooth):
            return best

        def along(moved: FloatArray) -> tuple[float, FloatArray]:
            point = best.copy()
            point[self._smooth] = moved
            square, variance, square_slope, variance_slope = self._slopes(point)
            value, to_square, to_variance = worth(square, variance)
            return float(value), (to_square * square_slope + to_variance * variance_slope)[self._smooth]

        found, value = minimum(along, best[self._smooth], [(0.0, 1.0)] * len(self._smooth), 20)
        if value < values[start]:
            best = best.copy()
            best[self._smooth] = found
        return best

    def step(self) -> FloatArray:
        """A Gauss-Newton step from the best settings, `[P]`; stepped parameters stay."""
        best, smooth = int(self.losses.argmin()), self._smooth
        point: FloatArray = self.points[best].copy()
        alike = (np.delete(self.points, smooth, 1) == np.delete(point, smooth)).all(1)
        apart = np.abs(self.points - point).max(1) >= SAME  # else differences are mostly rounding
        use = np.flatnonzero(alike & apart)
        if len(smooth) and len(use):
            used, here = np.array([best, *use]), point[smooth]
            inner = self._inner.numpy()[np.ix_(used, used)]
            lengths, weights = self._lengths[self._first[smooth]], self._weights[self._first[smooth]]
            slopes = np.sqrt(5.0 / 3.0 / lengths**2 + weights**2)  # the kernel's
            step = gauss_newton(self.points[np.ix_(use, smooth)] - here, inner, -here, 1.0 - here, slopes, lengths)
            point[smooth] = np.clip(here + step, 0.0, 1.0)
        return point

    def _candidates(self, around: FloatArray) -> FloatArray:
        """`[M, P]`: some from the whole box, some near the best settings with few or all parameters changed, and all known ones."""
        count, random = len(self.space), self._random
        drawn = [random.uniform(size=(512, count))]
        for distance in _DISTANCES:
            moves = distance * random.standard_normal((48, count))
            moves[24:] *= random.uniform(size=(24, count)) < max(1.5 / count, 0.2)
            drawn.append(np.clip(around + moves, 0.0, 1.0))
        return self.space.snap(np.concatenate([*drawn, self.points]))

    def _predict(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """At `points: [M, P]`: the square of the predicted residuals, and what uncertainty adds to its expectation, both `[M]`."""
        at = self._coordinates(points)
        theta = torch.from_numpy(self._theta)
        covariance = self._kernel(torch.from_numpy(at), torch.from_numpy(self._at), theta)[0].numpy()
        prior = _CONSTANT + np.square((at - 0.5) * self._weights).sum(1) + 1.0
        variance = prior - ((covariance @ self._inverse) * covariance).sum(1)
        square = ((covariance @ self._squares) * covariance).sum(1)
        return np.maximum(square, 0.0), np.maximum(variance, 0.0) * self._variance

    def _slopes(self, point: FloatArray) -> tuple[float, float, FloatArray, FloatArray]:
        """`_predict` at one point `[P]`, and the slopes of both along the parameters, `[P]`; those of lists are not used."""
        at = self._coordinates(point[None])[0]
        apart = (at - self._at) / self._lengths
        distance = np.sqrt(5.0 * np.maximum(np.square(apart).sum(1), 1e-12))
        decay = np.exp(-distance)
        centred = (self._at - 0.5) * self._weights**2
        covariance = _CONSTANT + centred @ (at - 0.5) + (1.0 + distance + distance**2 / 3.0) * decay
        slopes = centred - (5.0 / 3.0 * (1.0 + distance) * decay)[:, None] * apart / self._lengths  # [N, Q]
        known, heard = self._inverse @ covariance, self._squares @ covariance
        variance = _CONSTANT + np.square((at - 0.5) * self._weights).sum() + 1.0 - covariance @ known
        variance_slope = 2.0 * ((at - 0.5) * self._weights**2 - slopes.T @ known)
        if variance <= 0.0:
            variance, variance_slope = 0.0, np.zeros_like(variance_slope)
        square_slope = 2.0 * slopes.T @ heard
        return (
            max(float(covariance @ heard), 0.0),
            float(variance) * self._variance,
            square_slope[self._first],
            variance_slope[self._first] * self._variance,
        )

    def _fit_kernel(self) -> None:
        """The most probable lengths, weights and noise, given the inner products and a broad prior."""
        # residuals are not independent of each other: as many count as there are directions in which they spread
        spectrum = torch.linalg.eigvalsh(self._products).clamp(min=0.0)
        outputs = max(1.0, float(spectrum.sum() ** 2 / spectrum.square().sum()))
        count = len(self)
        unit = torch.eye(count, dtype=torch.float64)

        at, centred = torch.from_numpy(self._at), self._at - 0.5

        def improbable(theta: FloatArray) -> tuple[float, FloatArray]:
            given = torch.from_numpy(theta)
            kernel, distance = self._kernel(at, at, given)
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
            to_square = (to_kernel * (1.0 + distance) * torch.exp(-distance) * (5.0 / 3.0)).numpy()
            # Σ aᵢⱼ (xᵢ - xⱼ)² is 2 Σ xᵢ² Σⱼ aᵢⱼ - 2 xᵀ a x
            lengths, weights = np.exp(theta[:-1]).reshape(2, -1)[:, self._owner]
            near = self._at / lengths
            to_lengths = 2.0 * (to_square.sum(0) @ near**2 - (near * (to_square @ near)).sum(0))
            to_weights = 2.0 * weights**2 * (centred * (to_kernel.numpy() @ centred)).sum(0)
            slope = np.concatenate(
                [np.bincount(self._owner, to_lengths), np.bincount(self._owner, to_weights), [noise * float(to_kernel.trace())]]
            )
            return value, np.nan_to_num(slope + away / self._spread)

        bounds = [(-3.0, 4.0)] * len(self.space) + [(-6.0, 5.0)] * len(self.space) + [(math.log(1e-8), 0.0)]
        found, value = minimum(improbable, self._theta, bounds, 20)
        if np.isfinite(found).all() and value < 1e10:
            self._theta = found

    def _kernel(self, a: Tensor, b: Tensor, theta: Tensor) -> tuple[Tensor, Tensor]:
        """`[N, Q], [M, Q]` -> `[N, M]`, and the distances in it."""
        lengths, weights = theta[:-1].exp().reshape(2, -1)[:, self._owner]
        near, far = a / lengths, b / lengths
        square = (near.square().sum(1)[:, None] + far.square().sum(1) - 2 * near @ far.T).clamp(min=1e-12)
        distance = torch.sqrt(5.0 * square)
        linear = _CONSTANT + ((a - 0.5) * weights) @ ((b - 0.5) * weights).T
        kernel: Tensor = linear + (1.0 + distance + distance.square() / 3.0) * torch.exp(-distance)
        return kernel, distance

    def _coordinates(self, points: FloatArray) -> FloatArray:
        """`[M, P]` -> `[M, Q]`: a list's level becomes a coordinate of its own, so that all levels are equally far apart."""
        if len(self._owner) == len(self.space):
            return points
        columns = []
        for values, levels in zip(points.T, self._levels, strict=True):
            if levels == 1:
                columns.append(values[:, None])
            else:
                columns.append(math.sqrt(0.5) * np.eye(levels)[np.rint(values * (levels - 1)).astype(int)])
        return np.concatenate(columns, 1)

    def _sketch(self, residuals: Tensor) -> Tensor:
        """`[R]` -> `[4096]`."""
        length = len(residuals)
        if length <= _SKETCH:
            return residuals.double()
        if self._signs is None:
            self._signs = torch.from_numpy(self._random.choice(np.array([-1.0, 1.0], np.float32), length))
        signed = torch.nn.functional.pad(residuals * self._signs, (0, -length % _SKETCH))
        return signed.reshape(-1, _SKETCH).sum(0).double()
