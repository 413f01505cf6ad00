"""Losses by name, and weighted sums of them: "mrstft + 0.5*envelope"."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from blackbox_grad.errors import AudioError, suggest
from blackbox_grad.losses.base import FeatureLoss
from blackbox_grad.losses.envelope import Envelope
from blackbox_grad.losses.mel import Mel
from blackbox_grad.losses.mrstft import MultiResolutionSTFT
from blackbox_grad.losses.waveform import Waveform


class Sum(FeatureLoss):
    """Several losses, each with a weight.

    Args:
        weights: loss -> weight.
        target, sample_rate: as for any loss.
    """

    def __init__(self, weights: Mapping[str, float], target: Tensor, sample_rate: float) -> None:
        self._parts = [(weight, loss_for(name, target, sample_rate)) for name, weight in weights.items()]
        super().__init__(target, sample_rate)

    def prepare(self, target: Tensor) -> None:
        pass

    def features(self, audio: Tensor) -> Tensor:
        return torch.cat([weight * loss.features(audio) for weight, loss in self._parts], dim=1)


#: name -> loss
LOSSES: dict[str, Callable[[Tensor, float], FeatureLoss]] = {
    "mrstft": MultiResolutionSTFT,
    "mel": Mel,
    "envelope": Envelope,
    "l1": Waveform,
}


def loss_for(name: str, target: Tensor, sample_rate: float) -> FeatureLoss:
    """The loss of this name, or a weighted sum such as "mrstft + 0.5*envelope", for a target `[C, T]`."""
    weights = _weights(str(name))
    if list(weights.values()) == [1.0]:
        return LOSSES[next(iter(weights))](target, sample_rate)
    return Sum(weights, target, sample_rate)


def _weights(text: str) -> dict[str, float]:
    """
    >>> _weights("mrstft + 0.5*l1")
    {'mrstft': 1.0, 'l1': 0.5}
    """
    weights: dict[str, float] = {}
    for term in text.split("+"):
        factor, _, name = term.rpartition("*")
        name = name.strip()
        if name not in LOSSES:
            raise AudioError(f"no loss {name!r}; {suggest(name, LOSSES)}. Sums are written as 'mrstft + 0.5*envelope'")
        try:
            weight = float(factor or 1.0)
        except ValueError:
            weight = math.nan
        if not 0.0 < weight < math.inf:
            raise AudioError(f"loss {text!r}: the weight {factor.strip()!r} of {name!r} must be a positive number")
        weights[name] = weights.get(name, 0.0) + weight
    return weights
