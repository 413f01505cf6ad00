"""Pairs in an encoder's representation: rendered and computed once, for all trainings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.data.pairs import PairDataset
from blackbox_grad_adapters.style_matching.data.shards import PairShards
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder

#: Version of `Statistics` and `Spectrogram`; another version starts a new cache.
_FORMAT = 1


class HeardPair(TypedDict):
    """A `Pair` without its audio; many have `N` in front.

    Attributes:
        input, reference: `[…] float16`, in the encoder's representation, not standardised.
        p: `[P]`.
        clean: bool.
    """

    input: Tensor
    reference: Tensor
    p: Tensor
    clean: Tensor


class HeardPairs:
    """`PairDataset` through the representation of an encoder, which does not depend on the encoder's weights.

    Args:
        pairs: the pairs, of the encoder's sample rate and length.
        encoder: the one with the representation.
    """

    def __init__(self, pairs: PairDataset, encoder: Encoder) -> None:
        self.pairs = pairs
        self._preset, self._representation = encoder.preset, encoder.representation
        self._input: tuple[Tensor, Tensor] | None = None

    @property
    def description(self) -> dict[str, Any]:
        return {**self.pairs.description, "representation": self._preset, "features": _FORMAT}

    def pair(self, index: int) -> HeardPair:
        pair = self.pairs.pair(index)
        if self._input is None or not torch.equal(self._input[0], pair["input"]):
            self._input = pair["input"], self._features(pair["input"])
        return HeardPair(input=self._input[1], reference=self._features(pair["reference"]), p=pair["p"], clean=pair["clean"])

    def _features(self, x: Tensor) -> Tensor:
        """`[C, T]` -> `[…] float16`."""
        with torch.no_grad():
            features: Tensor = self._representation(x.mean(dim=0)[None])[0].half()
        return features


def heard(
    pairs: PairDataset,
    encoder: Encoder,
    count: int,
    folder: Path | None = None,
    workers: int | None = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> HeardPair:
    """The first `count` pairs, each tensor with `N = count` in front. It fills the cache first, and reads them from there.

    Args:
        folder, workers, on_progress: as for `PairShards`. If it was stopped, it continues from the last whole shard.
    """
    shards = PairShards(HeardPairs(pairs, encoder), count, folder)
    shards.build(workers, on_progress)
    collated: HeardPair = torch.utils.data.default_collate([shards[i] for i in range(count)])
    return collated
