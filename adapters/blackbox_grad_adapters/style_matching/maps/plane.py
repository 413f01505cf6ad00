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


#: Part of the plane that stays free at its edges.
_MARGIN = 0.04


#: UMAP: neighbours of a point; and how near points may come to each other, here not very, so that the plane is well used.
_NEIGHBOURS, _APART = 15, 0.6


def plane(embeddings: ArrayLike, method: Method, seed: int = 0) -> FloatArray:
    """`[N, D]` -> `[N, 2]`, each axis filling [0, 1] but for a margin. The same seed gives the same plane.

    Raises:
        MissingDependencyError: scikit-learn or umap-learn is not installed.
    """
    e = np.asarray(embeddings, dtype=np.float32)
    if method == "PCA":
        reduction = library("sklearn.decomposition", "the latent plane", "style").PCA(2, svd_solver="full")
    else:
        umap = library("umap", "the latent plane", "style")
        neighbours = min(_NEIGHBOURS, len(e) - 1)
        reduction = umap.UMAP(n_neighbors=neighbours, min_dist=_APART, random_state=seed, n_jobs=1)
    places = np.asarray(reduction.fit_transform(e), dtype=np.float64)
    low, high = places.min(axis=0), places.max(axis=0)
    return np.asarray(_MARGIN + (1 - 2 * _MARGIN) * (places - low) / np.maximum(high - low, 1e-12))
