"""Better settings from renders: what the controller has answered is improved until the effect sounds like the reference."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.parameters import FloatArray
from blackbox_grad.search import Emulator, Pursuit
from blackbox_grad_adapters.style_matching.data.excerpts import loudest
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder

#: Renders at a time.
_AT_ONCE = 3


#: Renders around the controller's answer before an emulator is asked: so many, and one for every parameter.
_FIRST = 5


#: How much what is heard counts against what the controller has answered. Input and reference are of different things, so even with
#: the right settings they stay apart.
_HEARD = 30.0


def refined(
    encoder: Encoder, path: EffectPath, x: Tensor, reference: Tensor, p: Tensor, variance: Tensor, renders: int, seed: int = 0
) -> Tensor:
    """Settings `[P]` with which `x: [C, T]` has more of the traits of `reference: [C, T']` than with `p: [P]`.

    The squared distance of the traits, relative to that at `p`, and the squared distance to `p`, relative to the variance of the
    controller's errors, are lowered together. Renders go where an `Emulator` of the effect expects that, or knows little.

    Args:
        variance: `[P]`, of the errors of each of the controller's answers.
        renders: at most so many.
    """
    space = path.effect.parameter_space
    excerpt = loudest(x, 2 * encoder.length)[None]
    start, spread = p.double().numpy(), variance.double().sqrt().numpy()
    pursuit = Pursuit(Emulator(space, seed), seed, patience=None)
    emulator, scale, left = pursuit.emulator, 0.0, renders
    with torch.no_grad():
        goal = encoder.traits(reference[None])
        points = space.snap(np.concatenate([start[None], _around(start, spread, seed)]))
        while left > 0 and len(points):
            points = points[:left]
            apart = encoder.traits(path(excerpt, torch.from_numpy(points).to(p))) - goal
            scale = scale or _HEARD**0.5 / max(float(apart[0].norm()), 1e-9)
            residuals = torch.cat([scale * apart, torch.from_numpy((points - start) / spread)], dim=1)
            emulator.add(points, residuals.square().sum(dim=1).numpy(), list(residuals))
            left -= len(points)
            points = pursuit.next(min(_AT_ONCE, left))
    best = emulator.best if len(emulator) else start
    return torch.from_numpy(best).to(p)


def _around(start: FloatArray, spread: FloatArray, seed: int) -> FloatArray:
    """`[N, P]`: settings as likely as the controller errs."""
    drawn = np.random.default_rng([seed, 2]).standard_normal((_FIRST + len(start), len(start)))
    near: FloatArray = np.clip(start + spread * drawn, 0.0, 1.0)
    return near
