"""How far a sound is from a reference of other content, in units of what two parts of one recording differ by.

The statistics of the judges differ between two recordings even through the same effect. Each of their parts counts by how much it
differs between two dry halves of 5.4 s of one recording; absolute differences, because content now and then differs much.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.measures.judges import JUDGES

#: Mean absolute difference of each part of the judges' statistics, over 700 excerpts of the training corpora.
USUAL = {"spectrum": (3.59,), "dynamics": (3.03, 0.71), "time": (1.66, 0.57, 0.65)}

#: How much each judge counts: by its parts.
SHARES = {name: len(parts) / sum(map(len, USUAL.values())) for name, parts in USUAL.items()}


def statistics(y: Tensor, sample_rate: float) -> list[Tensor]:
    """The parts of all judges: audio `[B, C, T]` at a rate in Hz -> `[B, F]` each, in units of `USUAL`."""
    return [
        part / usual
        for name, judge in JUDGES.items()
        for part, usual in zip(judge.statistics(y, sample_rate), USUAL[name], strict=True)
    ]


def residuals(found: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """`[B, F]`, whose absolute values add up to the mean distance over the parts."""
    return torch.cat([(a - b) / (a.shape[1] * len(found)) for a, b in zip(found, wanted, strict=True)], dim=1)


def by_judge(found: list[Tensor], wanted: list[Tensor]) -> dict[str, float]:
    """Of the first item: the mean distance over the parts of each judge."""
    left = [float((a[0] - b[0]).abs().mean()) for a, b in zip(found, wanted, strict=True)]
    return {name: sum(left.pop(0) for _ in parts) / len(parts) for name, parts in USUAL.items()}


def total(distances: Mapping[str, float]) -> float:
    """The mean over the parts of all judges."""
    return sum(SHARES[name] * distance for name, distance in distances.items())
