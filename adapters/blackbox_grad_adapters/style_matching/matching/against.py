"""Sounds against a reference, as the judges hear them, where the reference is another recording."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.data.excerpts import loudest
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.matching.band import Band
from blackbox_grad_adapters.style_matching.measures.judges import JUDGES, apart

#: Seconds of the input and of the reference that are compared: their loudest.
_HEARD = 8.0

#: Seconds; the judges need some. A shorter recording is repeated, as the network hears it.
_SHORTEST = 0.5

#: Of a distance that is zero.
_LEAST = 1e-6


class Against:
    """Distances of sounds from a reference, relative to that of the input: below 1 they are nearer, by each judge.

    Args:
        path: the effect; sounds are compared at the end of it.
        x: `[1, C, T]`, the input.
        reference: `[1, C, T']`.
        band: what both share.

    Attributes:
        excerpt: `[1, C, ≤ T]`, the part of the input that is compared.
        renders: so far.
    """

    def __init__(self, path: EffectPath, x: Tensor, reference: Tensor, band: Band) -> None:
        length = round(_HEARD * path.sample_rate)
        self._rate, self._band, self.renders = path.sample_rate, band, 0
        self.excerpt, other = (_repeated(loudest(audio[0], length), path.sample_rate)[None] for audio in (x, reference))
        with torch.no_grad():
            self._wanted = {name: judge.statistics(path.dry(other), self._rate) for name, judge in JUDGES.items()}
            self._before = self._apart(path.dry(self.excerpt))

    def __call__(self, y: Tensor) -> dict[str, float]:
        """Of `y: [1, C, T]`, from the end of the path, by judge."""
        with torch.no_grad():
            found = self._apart(self._band(y))
        return {name: distance / max(self._before[name], _LEAST) for name, distance in found.items()}

    def of_settings(self, path: EffectPath, p: Tensor) -> dict[str, float]:
        """Of the excerpt through an effect at `p: [1, P]`. It costs a render."""
        self.renders += 1
        with torch.no_grad():
            return self(path(self.excerpt, p))

    def _apart(self, y: Tensor) -> dict[str, float]:
        return {name: float(apart(judge.statistics(y, self._rate), self._wanted[name])) for name, judge in JUDGES.items()}


def _repeated(x: Tensor, sample_rate: float) -> Tensor:
    """`[C, T]`: again and again until it is long enough."""
    return x.repeat(1, max(1, math.ceil(_SHORTEST * sample_rate / x.shape[1])))


def total(distances: dict[str, float]) -> float:
    """The mean over the judges."""
    return sum(distances.values()) / len(distances)
