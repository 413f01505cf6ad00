"""How well embeddings reveal the effect and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from blackbox_grad.dependencies import library
from blackbox_grad.errors import AudioError
from blackbox_grad.parameters import FloatArray
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.maps.cloud import heard, scattered
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.style_encoder import StyleEncoder

#: Folds of the cross-validation. No excerpt is in two of them.
FOLDS = 5


@dataclass(frozen=True)
class Readability:
    """The readability of one effect.

    Attributes:
        accuracy: share of its recordings that are classified as this effect, among all effects; None if it is the only one.
        explained: by parameter, the share of its variance that is predicted (R²): 1 is all, 0 is what a constant gives.
        count: the number of recordings.
    """

    accuracy: float | None
    explained: dict[str, float]
    count: int


def readability(
    paths: Mapping[str, EffectPath], encoder: StyleEncoder | Encoder, excerpts: Tensor, count: int, seed: int = 0
) -> dict[str, Readability]:
    """Evaluate an encoder by a cross-validated support-vector machine on the embeddings of wet recordings only.

    Args:
        paths: the effects by name.
        excerpts: `[K, C, T]`, dry; `K` is `FOLDS` or more.
        count: quasi-random settings per effect, each on the next excerpt.

    Raises:
        AudioError: too few excerpts, or a silent effect.
        MissingDependencyError: scikit-learn is not installed.
    """
    if len(excerpts) < FOLDS:
        raise AudioError(f"to read embeddings takes {FOLDS} excerpts or more, got {len(excerpts)}")
    embeddings, labels, groups = [], [], []
    settings = {}
    for name, path in paths.items():
        p, group = scattered(path.size, count, seed), torch.arange(count) % len(excerpts)
        e, audible = heard(path, encoder, excerpts[group], p)
        if len(set(group[audible].tolist())) < FOLDS:
            raise AudioError(f"{path.spec.address} is silent, or not finite, on almost all excerpts")
        embeddings.append(e[audible].double().numpy())
        groups.append(group[audible].numpy())
        labels += [name] * len(embeddings[-1])
        settings[name] = p[audible].double().numpy()
    taken = None
    if len(paths) > 1:
        taken = classified(np.concatenate(embeddings), np.array(labels), np.concatenate(groups))
    found = {}
    for name, own, excerpt in zip(paths, embeddings, groups, strict=True):
        mine = np.array(labels) == name
        found[name] = Readability(
            accuracy=None if taken is None else float(np.mean(taken[mine] == name)),
            explained={
                parameter: explained(own, settings[name][:, k], excerpt) for k, parameter in enumerate(paths[name].names)
            },
            count=len(own),
        )
    return found


def explained(e: FloatArray, values: FloatArray, groups: NDArray[np.int64]) -> float:
    """The share of the variance of `values: [N]` that `e: [N, D]` predicts across groups, `[N]`."""
    svm = library("sklearn.svm", "reading embeddings", "style-training")
    error = np.square(_predicted(svm.SVR(C=0.1), e, values, groups) - values).sum()
    return 1.0 - float(error / np.square(values - values.mean()).sum())


def classified(e: FloatArray, labels: NDArray[np.str_], groups: NDArray[np.int64]) -> NDArray[np.str_]:
    """The label, `[N]`, that a support-vector machine gives each of `e: [N, D]`, fitted to the other groups."""
    svm = library("sklearn.svm", "reading embeddings", "style-training")
    found: NDArray[np.str_] = _predicted(svm.SVC(C=10.0), e, labels, groups)
    return found


def _predicted(model: Any, e: Any, targets: Any, groups: Any) -> Any:
    """The model's prediction for each recording, after a fit to recordings of other excerpts."""
    selection = library("sklearn.model_selection", "reading embeddings", "style-training")
    scaler = library("sklearn.preprocessing", "reading embeddings", "style-training").StandardScaler()
    pipeline = library("sklearn.pipeline", "reading embeddings", "style-training").make_pipeline(scaler, model)
    return selection.cross_val_predict(pipeline, e, targets, groups=groups, cv=selection.GroupKFold(FOLDS))
