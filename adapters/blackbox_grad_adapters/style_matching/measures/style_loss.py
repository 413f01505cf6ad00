"""The loss that controllers learn from: the distances that judge them, each relative to that of the dry input."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.measures import spectral
from blackbox_grad_adapters.style_matching.measures.audibility import JUST_AUDIBLE
from blackbox_grad_adapters.style_matching.measures.judges import JUDGES, apart

N = TypeVar("N", float, Tensor)

#: The spectrograms, frame by frame, under the name that evaluation gives them.
MRSTFT = "mrstft"

#: How much of an effect there is, and whether it is missed.
AMOUNT, MISSED = "amount", "missed"

#: Distances that compare a result with the truth. Results are reported by them.
COMPARED = (MRSTFT, *JUDGES)

#: All distances that a controller may learn from.
DISTANCES = (*COMPARED, AMOUNT, MISSED)

#: An effect that is so far from the dry input, in units of what is just audible, is not missed.
_HEARD = 1.25

#: Least distances of the dry input to be divided by: an effect may be inaudible in all examples.
_LEAST = {AMOUNT: 0.1, MISSED: 0.1}

#: Sizes of the spectra, without the smallest and the largest, which cost time and change little.
_SIZES = spectral.SIZES[1:-1]


class StyleLoss:
    """A weighted mean of MRSTFT, of the judges that are blind to time, and of how much of the effect there is.

    MRSTFT alone rewards a controller for less echo, because an echo at a wrong time costs more than none. The blind judges hear
    that an echo is missing. Where a setting cannot be told, the mean of what is possible still pleases them more than a guess. Two
    distances therefore ask how audible the effect is: by each judge, its distance from the dry input divided by what is just
    audible, `a`. *amount* compares `log(1 + a)` with the truth's: too little is as wrong as too much. *missed* is what the result
    lacks to be audible, `a = 1.25`, where the truth is.

    Args:
        sample_rate: Hz.
        weights: by name, one of `DISTANCES`. A name that is missing has the weight 0.
        dry: mean distance of the dry input from the truth, by name; each distance is divided by it.
    """

    def __init__(self, sample_rate: float, weights: Mapping[str, float], dry: Mapping[str, float] | None = None) -> None:
        self.sample_rate = sample_rate
        self.weights = {name: weight for name, weight in weights.items() if weight > 0}
        if unknown := self.weights.keys() - set(DISTANCES):
            raise ValueError(f"no distance {', '.join(sorted(unknown))}; known are {', '.join(DISTANCES)}")
        self.dry = {name: 1.0 if dry is None else max(dry[name], _LEAST.get(name, 1e-9)) for name in self.weights}

    def relative_to(self, dry: Tensor, truth: Tensor) -> StyleLoss:
        """The same loss in units of the mean distances of the `dry` input from the `truth`, `[B, C, T]` each."""
        terms = StyleLoss(self.sample_rate, self.weights).terms(dry, *self.targets(dry, truth))
        return StyleLoss(self.sample_rate, self.weights, {name: float(found.mean()) for name, found in terms.items()})

    def targets(self, dry: Tensor, truth: Tensor) -> list[Tensor]:
        """What `truth: [B, C, T]` of the `dry` input `[B, C, T]` is compared by, computed once: `[B, …]` each."""
        of_truth = self._statistics(truth)
        parts = [part for name in self._compared for part in of_truth[name]]
        if self._asks_how_much:
            of_dry = self._statistics(dry)
            parts += [*(part for name in JUDGES for part in of_dry[name]), _how_audible(of_truth, of_dry)]
        return parts

    def terms(self, y: Tensor, *targets: Tensor) -> dict[str, Tensor]:
        """Each distance of `y: [B, C, T]` from the audio with these `targets`: `[B]` by name."""
        own, rest = self._statistics(y), iter(targets)
        found = {name: _apart(name, own[name], list(itertools.islice(rest, len(own[name])))) for name in self._compared}
        if self._asks_how_much:
            of_dry = {name: list(itertools.islice(rest, len(own[name]))) for name in JUDGES}
            there, wanted = _how_audible(own, of_dry), next(rest)
            found[AMOUNT] = (there.log1p() - wanted.log1p()).abs().mean(dim=1)
            found[MISSED] = _missed(there.amax(dim=1), wanted.amax(dim=1))
        return {name: found[name] for name in self.weights}

    def __call__(self, y: Tensor, *targets: Tensor) -> Tensor:
        """`[B]`: the loss of `y: [B, C, T]`; 1 is about the dry input's, 0 is the truth's."""
        return self.mean({name: distance / self.dry[name] for name, distance in self.terms(y, *targets).items()})

    def mean(self, ratios: Mapping[str, N]) -> N:
        """The weighted mean of distances that are relative to those of the dry input, by name."""
        weighted = [self.weights[name] * ratio for name, ratio in ratios.items()]
        return sum(weighted[1:], weighted[0]) / sum(self.weights.values())

    @property
    def _compared(self) -> list[str]:
        """The distances that compare statistics of the result and of the truth."""
        return [name for name in self.weights if name in COMPARED]

    @property
    def _asks_how_much(self) -> bool:
        return AMOUNT in self.weights or MISSED in self.weights

    def judged(self, ratios: Mapping[str, N]) -> N:
        """As `mean`, of the distances that results are reported by, if there are any; each counts the same."""
        found = [ratio for name, ratio in ratios.items() if name in COMPARED] or list(ratios.values())
        return sum(found[1:], found[0]) / len(found)

    def _statistics(self, x: Tensor) -> dict[str, list[Tensor]]:
        """By name, what the distances compare."""
        found = {MRSTFT: spectral.spectra(x, _SIZES)} if MRSTFT in self.weights else {}
        for name, judge in JUDGES.items():
            if name in self.weights or self._asks_how_much:
                found[name] = list(judge.statistics(x, self.sample_rate))
        return found


def _apart(name: str, found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """`[B]`: the distance by this name, from statistics."""
    if name != MRSTFT:
        return apart(found, wanted)
    return torch.stack([torch.add(*spectral.apart(a, b)) for a, b in zip(found, wanted, strict=True)]).mean(dim=0)


def _how_audible(found: Mapping[str, Sequence[Tensor]], of_dry: Mapping[str, Sequence[Tensor]]) -> Tensor:
    """`[B, judges]`: distances from the dry input, in units of what is just audible."""
    return torch.stack([apart(found[name], of_dry[name]) / JUST_AUDIBLE[name] for name in JUDGES], dim=1)


def _missed(there: Tensor, wanted: Tensor) -> Tensor:
    """`[B]`: what an effect lacks to be as audible as the wanted one, or heard for sure; 0 where the wanted one is inaudible."""
    return torch.relu(wanted.clamp_max(_HEARD) - there) * (wanted > 1.0)
