"""The loss that controllers learn from: the distances that judge them, each relative to that of the dry input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.measures import spectral
from blackbox_grad_adapters.style_matching.measures.judges import JUDGES, apart

N = TypeVar("N", float, Tensor)

#: The spectrograms, frame by frame, under the name that evaluation gives them.
MRSTFT = "mrstft"

#: Sizes of the spectra, without the smallest and the largest, which cost time and change little.
_SIZES = spectral.SIZES[1:-1]


class StyleLoss:
    """A weighted mean of MRSTFT and of the judges that are blind to time.

    MRSTFT alone rewards a controller for less echo, because an echo at a wrong time costs more than none. The blind judges hear
    that an echo is missing.

    Args:
        sample_rate: Hz.
        weights: by name: "mrstft", "spectrum", "dynamics", "time". A name that is missing has the weight 0.
        dry: mean distance of the dry input from the truth, by name; each distance is divided by it.
    """

    def __init__(self, sample_rate: float, weights: Mapping[str, float], dry: Mapping[str, float] | None = None) -> None:
        self.sample_rate = sample_rate
        self.weights = {name: weight for name, weight in weights.items() if weight > 0}
        if unknown := self.weights.keys() - {MRSTFT, *JUDGES}:
            raise ValueError(f"no distance {', '.join(sorted(unknown))}; known are {', '.join((MRSTFT, *JUDGES))}")
        self.dry = {name: 1.0 if dry is None else max(dry[name], 1e-9) for name in self.weights}

    def relative_to(self, dry: Tensor, truth: Tensor) -> StyleLoss:
        """The same loss in units of the mean distances of the `dry` input from the `truth`, `[B, C, T]` each."""
        terms = StyleLoss(self.sample_rate, self.weights).terms(dry, *self.targets(truth))
        return StyleLoss(self.sample_rate, self.weights, {name: float(found.mean()) for name, found in terms.items()})

    def targets(self, truth: Tensor) -> list[Tensor]:
        """Statistics of `truth: [B, C, T]`, computed once: `[B, …]` each."""
        return [part for name in self.weights for part in self._statistics(name, truth)]

    def terms(self, y: Tensor, *targets: Tensor) -> dict[str, Tensor]:
        """Each distance of `y: [B, C, T]` from the audio with these `targets`: `[B]` by name."""
        found, rest = {}, list(targets)
        for name in self.weights:
            own = self._statistics(name, y)
            wanted, rest = rest[: len(own)], rest[len(own) :]
            if name == MRSTFT:
                parts = [torch.add(*spectral.apart(a, b)) for a, b in zip(own, wanted, strict=True)]
                found[name] = torch.stack(parts).mean(dim=0)
            else:
                found[name] = apart(own, wanted)
        return found

    def __call__(self, y: Tensor, *targets: Tensor) -> Tensor:
        """`[B]`: the loss of `y: [B, C, T]`; 1 is about the dry input's, 0 is the truth's."""
        return self.mean({name: distance / self.dry[name] for name, distance in self.terms(y, *targets).items()})

    def mean(self, ratios: Mapping[str, N]) -> N:
        """The weighted mean of distances that are relative to those of the dry input, by name."""
        weighted = [self.weights[name] * ratio for name, ratio in ratios.items()]
        return sum(weighted[1:], weighted[0]) / sum(self.weights.values())

    def _statistics(self, name: str, x: Tensor) -> list[Tensor]:
        return spectral.spectra(x, _SIZES) if name == MRSTFT else list(JUDGES[name].statistics(x, self.sample_rate))
