"""Embeddings in a plane: by principal components, which keep straight lines, and by UMAP, which keeps neighbourhoods.

UMAP: L. McInnes, J. Healy, J. Melville, 2018, arXiv:1802.03426.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.dependencies import library
from blackbox_grad.parameters import FloatArray

Method = Literal["PCA", "UMAP"]

METHODS: tuple[Method, ...] = ("PCA", "UMAP")

#: What needs the libraries, for messages.
_PLANE = "the latent plane"

#: Margin at the edges of the plane, as a part of it.
_MARGIN = 0.04

#: UMAP: neighbours of a point, and the least distance of points, large here, so that they fill the plane.
_NEIGHBOURS, _APART = 15, 0.6


def check_libraries() -> None:
    """Raise `MissingDependencyError` now, and not after the renders."""
    for name in ("sklearn.decomposition", "umap"):
        library(name, _PLANE, "style-training")


def plane(embeddings: ArrayLike, method: Method, seed: int = 0) -> FloatArray:
    """`[N, D]` -> `[N, 2]`: each axis fills [0, 1] up to a margin. The same seed gives the same plane.

    Raises:
        MissingDependencyError: scikit-learn or umap-learn is not installed.
    """
    e = np.asarray(embeddings, dtype=np.float32)
    if method == "PCA":
        reduction = library("sklearn.decomposition", _PLANE, "style-training").PCA(2, svd_solver="full")
    else:
        umap = library("umap", _PLANE, "style-training")
        neighbours = min(_NEIGHBOURS, len(e) - 1)
        reduction = umap.UMAP(n_neighbors=neighbours, min_dist=_APART, random_state=seed, n_jobs=1)
    places = np.asarray(reduction.fit_transform(e), dtype=np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    return np.asarray(_MARGIN + (1 - 2 * _MARGIN) * (places - low) / np.maximum(high - low, 1e-12))
