"""Judges of style: distances between two recordings of one performance, each for another side of what people hear.

MRSTFT compares spectrograms frame by frame, so an echo at a slightly other time costs as much as no echo. Listeners do not hear it
so. Three judges here are therefore blind to *when* something happens: they compare statistics over a whole recording. A judge from
outside, CDPAM, has learnt from listeners.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.measures.dynamics import dynamics
from blackbox_grad_adapters.style_matching.measures.echo_and_decay import echo_and_decay
from blackbox_grad_adapters.style_matching.measures.spectrum import spectrum

#: Statistics of audio `[B, C, T]` at a rate in Hz: parts of equal weight, `[B, F]` each.
Statistics = Callable[[Tensor, float], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Judge:
    """A distance that is blind to when something happens: the mean absolute difference of statistics.

    Attributes:
        name: "spectrum", "dynamics" or "time".
        hears: what it compares, for the docs.
        statistics: their mean absolute differences are averaged over the parts.
    """

    name: str
    hears: str
    statistics: Statistics

    def __call__(self, y: Tensor, target: Tensor, sample_rate: float) -> Tensor:
        """`[B]`: the distance of `y: [B, C, T]` from `target: [B, C, T']`, at a rate in Hz. 0 is equality."""
        return apart(self.statistics(y, sample_rate), self.statistics(target, sample_rate))

    def each(self, y: Tensor, target: Tensor, sample_rate: float) -> Tensor:
        """`[B]`: the distance of each `y: [B, C, T]` from one `target: [1, C, T']`.

        Each is measured alone, so that no last bit depends on what is measured beside it.
        """
        wanted = self.statistics(target, sample_rate)
        return torch.cat([apart(self.statistics(one[None], sample_rate), wanted) for one in y])


#: The judges that are blind to time, by name.
JUDGES = {
    judge.name: judge
    for judge in (
        Judge("spectrum", "mean level of 80 mel bands over time, dB", spectrum),
        Judge("dynamics", "distribution of the loudness, and depth of its modulation, dB", dynamics),
        Judge("time", "decay after loud moments, echoes and combs, modulation in four bands", echo_and_decay),
    )
}


def apart(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """`[B]`: the mean over parts of the mean absolute difference of statistics `[B, F]`."""
    return torch.stack([(a - b).abs().mean(dim=1) for a, b in zip(found, wanted, strict=True)]).mean(dim=0)
