"""The way back from a plane to settings: smooth, defined everywhere, near the known settings at their places."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.parameters import FloatArray

#: Widths to try, relative to the median distance from a place to the nearest one.
_WIDTHS = (0.5, 1.0, 2.0, 4.0)

#: Places at which the widths are tried.
_TRIED = 128


@dataclass(frozen=True)
class WayBack:
    """The mean of known settings, weighted by a Gaussian of their distance in the plane (Nadaraya 1964, Watson 1964).

    Its settings lie between known settings, so always in [0, 1]. Far from all places the Gaussian is wider, which avoids jumps
    there too. `templates/map.html` computes the same.

    Attributes:
        places: `[N, 2]`.
        settings: `[N, P]`.
        width: standard deviation of the Gaussian, at a known place.
    """

    places: FloatArray
    settings: FloatArray
    width: float

    def __call__(self, places: FloatArray) -> FloatArray:
        """`[M, 2]` -> `[M, P]`."""
        return self._mean(_squared(places, self.places))

    def without_themselves(self, chosen: NDArray[np.intp]) -> FloatArray:
        """Its settings at the places `chosen: [M]` without knowledge of their own settings, `[M, P]`."""
        squared = _squared(self.places[chosen], self.places)
        squared[np.arange(len(chosen)), chosen] = np.inf
        return self._mean(squared)

    def _mean(self, squared: FloatArray) -> FloatArray:
        nearest = squared.min(axis=1, keepdims=True)
        # relative to the nearest place, whose weight is 1, so that the weights never all vanish
        weights = np.exp((nearest - squared) / (2 * self.width**2 + nearest / 2))
        return np.asarray(weights @ self.settings / weights.sum(axis=1, keepdims=True))


def fitted(
    places: FloatArray, settings: FloatArray, embeddings: FloatArray, listen: Callable[[FloatArray], FloatArray]
) -> tuple[WayBack, float]:
    """The way back with the best width: at places that are left out, its settings sound most like the true ones.

    Args:
        places, settings, embeddings: `[N, 2]`, `[N, P]`, `[N, D]`.
        listen: settings `[M, P]` -> their embeddings `[M, D]`.

    Returns:
        The way back, and the share of the embeddings' variance that it explains at places that it did not know; 1 is all.
    """
    apart = _squared(places, places)
    np.fill_diagonal(apart, np.inf)
    unit = max(float(np.median(np.sqrt(apart.min(axis=1)))), 1e-6)
    chosen = np.unique(np.linspace(0, len(places) - 1, _TRIED).round().astype(np.intp))
    errors = {}
    for width in _WIDTHS:
        way_back = WayBack(places, settings, width * unit)
        errors[width] = float(np.square(listen(way_back.without_themselves(chosen)) - embeddings[chosen]).sum())
    best = min(errors, key=lambda width: errors[width])
    spread = float(np.square(embeddings[chosen] - embeddings.mean(axis=0)).sum())
    return WayBack(places, settings, best * unit), 1.0 - errors[best] / max(spread, 1e-12)


def _squared(a: FloatArray, b: FloatArray) -> FloatArray:
    return np.asarray(np.square(a[:, None] - b[None]).sum(axis=2))
