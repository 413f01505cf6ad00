"""An effect in the latent space: many settings, sweeps of each parameter, and a slice through two of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.parameters import FloatArray
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.maps.cloud import cloud, heard
from blackbox_grad_adapters.style_matching.maps.plane import METHODS, Method, plane
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.style_encoder import StyleEncoder

#: Settings of a sweep.
STEPS = 20

#: Settings along each side of a slice.
SIDE = 16


@dataclass(frozen=True)
class Places:
    """The places of all embeddings in one plane.

    Attributes:
        cloud: `[N, 2]`.
        sweeps: `[P, STEPS, 2]`.
        slice: `[SIDE, SIDE, 2]`, the first parameter along the last side; None for an effect with one parameter.
    """

    cloud: FloatArray
    sweeps: FloatArray
    slice: FloatArray | None


@dataclass(frozen=True)
class LatentSpace:
    """One recording through one effect.

    Attributes:
        names: of the `P` parameters.
        p, e: `[N, P]` and `[N, D]`, quasi-random settings and their embeddings.
        pair: the two parameters of the slice, whose sweeps are longest.
        places: in the planes of both methods.
    """

    names: tuple[str, ...]
    p: FloatArray
    e: FloatArray
    pair: tuple[int, ...]
    places: dict[Method, Places]


def latent_space(path: EffectPath, encoder: StyleEncoder | Encoder, x: Tensor, count: int, seed: int = 0) -> LatentSpace:
    """Embed the output for `x: [C, T]` at `count` settings, sweeps and a slice. Parameters that do not vary are in the middle.

    Raises:
        AudioError: the effect is silent.
    """
    many = cloud(path, encoder, x, count, seed)
    sweeps = torch.full((path.size, STEPS, path.size), 0.5)
    for k in range(path.size):
        sweeps[k, :, k] = torch.linspace(0.0, 1.0, STEPS)
    e, audible = heard(path, encoder, x[None], sweeps.flatten(0, 1))
    e[~audible] = torch.nan
    swept = e.unflatten(0, (path.size, STEPS))
    travelled = torch.nan_to_num((swept[:, 1:] - swept[:, :-1]).norm(dim=2)).sum(dim=1)
    pair = tuple(sorted(travelled.argsort(descending=True)[:2].tolist()))
    parts = [many.e, e]
    if len(pair) == 2:
        across = torch.linspace(0.0, 1.0, SIDE)
        points = torch.full((SIDE, SIDE, path.size), 0.5)
        points[:, :, pair[0]], points[:, :, pair[1]] = across[None, :], across[:, None]
        sliced, audible = heard(path, encoder, x[None], points.flatten(0, 1))
        sliced[~audible] = torch.nan
        parts.append(sliced)
    e = torch.cat(parts)
    places = {method: _places(e.double().numpy(), len(many.e), path.size, method, seed) for method in METHODS}
    return LatentSpace(path.names, many.p.double().numpy(), many.e.double().numpy(), pair, places)


def _places(e: FloatArray, count: int, size: int, method: Method, seed: int) -> Places:
    """One plane for all; silent renders get NaN."""
    z = np.full((len(e), 2), np.nan)
    known = np.isfinite(e[:, 0])
    z[known] = plane(e[known], method, seed)
    end = count + size * STEPS
    sliced = z[end:].reshape(SIDE, SIDE, 2) if len(z) > end else None
    return Places(z[:count], z[count:end].reshape(size, STEPS, 2), sliced)
