"""A cloud: the embeddings of one recording through an effect at many settings."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.effect_path import PEAK, EffectPath
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.style_encoder import StyleEncoder

#: Renders per batch: their audio is in memory together.
_CHUNK = 16

#: Fewer settings than this are too few for a figure.
_FEWEST = 16


@dataclass(frozen=True)
class Cloud:
    """`N` settings, and the embedding of the output at each.

    Attributes:
        p: `[N, P]`, normalised.
        e: `[N, D]`, their embeddings.
    """

    p: Tensor
    e: Tensor


def cloud(path: EffectPath, encoder: StyleEncoder | Encoder, x: Tensor, count: int, seed: int = 0) -> Cloud:
    """`count` quasi-random settings of an effect, on `x: [C, T]`, without those at which it is silent.

    Raises:
        AudioError: the effect is silent at almost all settings.
    """
    p = scattered(path.size, count, seed)
    e, audible = heard(path, encoder, x[None], p)
    if audible.sum() < min(_FEWEST, count):
        raise AudioError(
            f"{path.spec.address} is silent, or not finite, at {count - int(audible.sum())} of {count} settings on this "
            "recording; give a louder or another one, or free other parameters"
        )
    return Cloud(p[audible], e[audible])


def heard(path: EffectPath, encoder: StyleEncoder | Encoder, x: Tensor, p: Tensor) -> tuple[Tensor, Tensor]:
    """The embeddings `[N, D]` of `x: [N, C, T]` at settings `p: [N, P]`, and which renders are audible, `[N]` bool.

    `x` may be one recording for all settings, `[1, C, T]`.
    """
    embeddings, audible = [], []
    with torch.no_grad():
        for audio, points in zip(x.expand(len(p), -1, -1).split(_CHUNK), p.split(_CHUNK), strict=True):
            y = path(audio, points)
            embeddings.append(encoder.embed(y) if isinstance(encoder, Encoder) else encoder(y, path.sample_rate))
            audible.append(y.abs().amax(dim=(1, 2)) > PEAK / 2)
    return torch.cat(embeddings), torch.cat(audible)


def scattered(size: int, count: int, seed: int = 0) -> Tensor:
    """`[count, size]` in [0, 1]: Sobol's points, scrambled (A. B. Owen, J. Complexity 14(4), 1998)."""
    return torch.quasirandom.SobolEngine(size, scramble=True, seed=seed).draw(count)
