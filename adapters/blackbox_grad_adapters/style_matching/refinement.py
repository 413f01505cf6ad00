"""Better settings from renders: what the controller has answered is improved until the effect sounds like the reference."""

from __future__ import annotations

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.encoder import Encoder
from blackbox_grad_adapters.style_matching.excerpts import loudest

#: Renders in a generation, how far the first one spreads, and what is left of that after each.
_GENERATION, _SPREAD, _SHRINK = 10, 0.15, 0.9

#: Weight of the squared distance to the controller's answer: what the embedding does not tell stays there.
_TRUST = 1.0


def refined(encoder: Encoder, path: EffectPath, x: Tensor, reference: Tensor, p: Tensor, renders: int, seed: int = 0) -> Tensor:
    """Settings `[P]` near `p: [P]` with which `x: [C, T]` is nearer to `reference: [C, T']` in the embedding.

    An evolution strategy: the mean of the better half of each generation is the middle of the next, narrower one (H.-G. Beyer,
    H.-P. Schwefel, "Evolution strategies", Natural Computing 1, 2002, doi:10.1023/A:1015059928466).

    Args:
        renders: at most so many.
    """
    generator = torch.Generator().manual_seed(seed)
    excerpt = loudest(x, 2 * encoder.length)
    with torch.no_grad():
        goal = encoder.embed(reference[None])

        def cost(points: Tensor) -> Tensor:
            heard = encoder.embed(path(excerpt[None], points))
            return (heard - goal).square().mean(dim=1) + _TRUST * (points - p).square().sum(dim=1)

        best, lowest = p, float(cost(p[None]))
        middle, spread, left = p, _SPREAD, renders - 1
        while left > 0:
            noise = torch.randn(min(_GENERATION, left), len(p), generator=generator)
            points = (middle + spread * noise).clamp(0.0, 1.0)
            costs = cost(points)
            left -= len(points)
            order = costs.argsort()
            if float(costs[order[0]]) < lowest:
                best, lowest = points[order[0]], float(costs[order[0]])
            middle = points[order[: max(1, len(order) // 2)]].mean(dim=0)
            spread *= _SHRINK
        last = cost(middle[None]) if renders > 1 else None
        return middle if last is not None and float(last) < lowest else best
