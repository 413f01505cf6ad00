"""The input, and what an effect makes of it, against a reference, as the judges hear them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.data.excerpts import loudest
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.matching.band import Band
from blackbox_grad_adapters.style_matching.matching.spread import by_judge, statistics, total

#: Seconds of the input and of the reference that are compared: their loudest.
_HEARD = 8.0

#: Seconds; the judges need some. A shorter recording is repeated, as the network hears it.
_SHORTEST = 0.5

#: Of a distance that is zero.
_LEAST = 1e-6


class Against:
    """Distances of sounds from a reference, by judge. 1 is usual between two parts of one recording.

    Args:
        path: the effect; sounds are compared at the end of it.
        x: `[1, C, T]`, the input.
        reference: `[1, C, T']`.
        band: what both share.

    Attributes:
        excerpt: `[1, C, ≤ T]`, the part of the input that is compared.
        before: distances of the input.
        renders: so far.
    """

    def __init__(self, path: EffectPath, x: Tensor, reference: Tensor, band: Band) -> None:
        length = round(_HEARD * path.sample_rate)
        self._rate, self._band, self.renders = path.sample_rate, band, 0
        self.excerpt, other = (repeated(loudest(audio[0], length), path.sample_rate)[None] for audio in (x, reference))
        with torch.no_grad():
            self._wanted = statistics(path.dry(other), self._rate)
            self.before = by_judge(statistics(path.dry(self.excerpt), self._rate), self._wanted)

    def of_settings(self, path: EffectPath, p: Tensor) -> dict[str, float]:
        """Of the excerpt through an effect at `p: [1, P]`. It costs a render."""
        self.renders += 1
        with torch.no_grad():
            return by_judge(statistics(self._band(path(self.excerpt, p)), self._rate), self._wanted)

    def left(self, distances: dict[str, float]) -> float:
        """The part of the input's distance that these leave."""
        return total(distances) / max(total(self.before), _LEAST)


def repeated(x: Tensor, sample_rate: float) -> Tensor:
    """`[C, T]`: again and again until it is long enough."""
    return x.repeat(1, max(1, math.ceil(_SHORTEST * sample_rate / x.shape[1])))
