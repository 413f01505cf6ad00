"""Better settings from renders: what the controller has answered is improved until the effect sounds like the reference."""

from __future__ import annotations

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.encoder import Encoder
from blackbox_grad_adapters.style_matching.excerpts import loudest

#: Renders in a generation, and what is left of its width after each.
_GENERATION, _SHRINK = 10, 0.9

#: How much what is heard counts against what the controller has answered. Input and reference are of different things, so even with
#: the right settings they stay as far apart as they are at the controller's answer, nearly: of 0.3 to 100, this did the most good
#: to MDA's Overdrive and Combo, and no harm to Dynamics.
_HEARD = 3.0


def refined(
    encoder: Encoder, path: EffectPath, x: Tensor, reference: Tensor, p: Tensor, variance: Tensor, renders: int, seed: int = 0
) -> Tensor:
    """Settings `[P]` with which `x: [C, T]` is nearer to `reference: [C, T']` in the embedding than with `p: [P]`.

    The squared distance in the embedding, relative to that at `p`, and the squared distance to `p`, relative to the variance of
    the controller's errors, are lowered together by an evolution strategy: the mean of the better half of each generation is the
    middle of the next, narrower one (H.-G. Beyer, H.-P. Schwefel, "Evolution strategies", Natural Computing 1, 2002,
    doi:10.1023/A:1015059928466).

    Args:
        variance: `[P]`, of the errors of each of the controller's answers.
        renders: at most so many.
    """
    generator = torch.Generator().manual_seed(seed)
    excerpt = loudest(x, 2 * encoder.length)[None]
    with torch.no_grad():
        goal = encoder.embed(reference[None])

        def apart(points: Tensor) -> Tensor:
            return (encoder.embed(path(excerpt, points)) - goal).square().sum(dim=1)

        usual = apart(p[None]).clamp_min(1e-9)
        best, lowest = p, _HEARD
        middle, spread, left = p, variance.sqrt() / 2, renders - 1
        while left > 0:
            noise = torch.randn(min(_GENERATION, left), len(p), generator=generator)
            points = (middle + spread * noise).clamp(0.0, 1.0)
            costs = _HEARD * apart(points) / usual + ((points - p).square() / variance).sum(dim=1)
            left -= len(points)
            order = costs.argsort()
            if float(costs[order[0]]) < lowest:
                best, lowest = points[order[0]], float(costs[order[0]])
            middle = points[order[: max(1, len(order) // 2)]].mean(dim=0)
            spread = spread * _SHRINK
    return best
