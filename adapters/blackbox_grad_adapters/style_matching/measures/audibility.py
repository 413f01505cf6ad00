"""Whether an effect can be heard: how far it moves a recording, in units of what is just audible."""

from __future__ import annotations

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.measures.judges import JUDGES

#: Distances that are just audible, by judge. Changes that listeners just notice stay below them, in the median over recordings:
#: 1 dB more level, a high shelf of 1 dB, a tremolo of ±1 dB at 4 Hz, an echo at -26 dB in music (time 0.02 to 0.22, spectrum 0.22
#: to 0.9, dynamics 0.05 to 0.5). An echo at -20 dB in speech, a tremolo of ±2 dB and a compressor of 1.3:1 are beyond them.
JUST_AUDIBLE = {"spectrum": 1.0, "dynamics": 0.7, "time": 0.25}


def audibility(y: Tensor, dry: Tensor, sample_rate: float) -> dict[str, Tensor]:
    """By judge, `[B]`: the distance of each `y: [B, C, T]` from one `dry: [1, C, T]` in units of what is just audible.

    A sound is audibly effected if one of them is above 1.
    """
    return {name: judge.each(y, dry, sample_rate) / JUST_AUDIBLE[name] for name, judge in JUDGES.items()}


def audible(y: Tensor, dry: Tensor, sample_rate: float) -> Tensor:
    """`[B]`: the largest of `audibility`; above 1, the effect is heard."""
    return torch.stack(list(audibility(y, dry, sample_rate).values())).amax(dim=0)
