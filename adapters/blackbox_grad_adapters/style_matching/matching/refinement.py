"""Better settings from renders: start at the controller's settings, and search for those that sound more like the reference."""

from __future__ import annotations

import contextlib

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.interrupts import deferred_interrupts
from blackbox_grad.parameters import FloatArray
from blackbox_grad.search import Found, Pursuit, drive
from blackbox_grad_adapters.style_matching.data.excerpts import loudest
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.matching.band import Band
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder

#: Renders per batch.
_AT_ONCE = 3

#: Renders around the controller's settings before the pursuit begins: this number, plus one per parameter.
_FIRST = 5

#: Weight of the traits against the controller's settings. Input and reference have different content, so their traits differ even
#: at the right settings.
_TRAITS = 30.0


def refined(
    encoder: Encoder,
    path: EffectPath,
    x: Tensor,
    reference: Tensor,
    p: Tensor,
    variance: Tensor,
    renders: int,
    seed: int = 0,
    band: Band | None = None,
) -> Tensor:
    """Settings `[P]` with which `x: [C, T]` has more of the traits of `reference: [C, T']` than with `p: [P]`.

    Minimises a weighted sum: the squared distance of the traits, relative to that at `p`, and the squared distance to `p`, relative
    to the variance of the controller's errors. A `Pursuit` chooses the settings to render.

    Args:
        variance: `[P]`, of the errors of the controller's settings.
        renders: the most renders.
        band: what the recordings share; all by default.

    Ctrl-C or SIGTERM ends it with the best so far.
    """
    if renders <= 0:
        return p
    space, heard = path.effect.parameter_space, band or Band(encoder.sample_rate)
    excerpt = loudest(x, 2 * encoder.length)[None]
    start, spread = p.double().numpy(), variance.double().sqrt().numpy()
    points = space.snap(np.concatenate([start[None], _around(start, spread, seed)]))[:renders]
    with torch.no_grad():
        goal = encoder.traits(reference[None])

        def apart(points: FloatArray) -> Tensor:
            return encoder.traits(heard(path(excerpt, torch.from_numpy(points).to(p)))) - goal

        def found(points: FloatArray, traits: Tensor) -> Found:
            residuals = torch.cat([scale * traits, torch.from_numpy((points - start) / spread)], dim=1)
            return residuals.square().sum(dim=1).numpy(), list(residuals)

        def evaluate(points: FloatArray) -> Found:
            interrupt.check()
            return found(points, apart(points))

        first = apart(points)
        scale = _TRAITS**0.5 / max(float(first[0].norm()), 1e-9)
        pursuit = Pursuit(space, seed, patience=None)
        pursuit.tell(points, *found(points, first))
        with contextlib.suppress(KeyboardInterrupt), deferred_interrupts() as interrupt:
            drive(pursuit, space, evaluate, renders - len(points), _AT_ONCE)
    best = pursuit.best if np.isfinite(pursuit.lowest) else start
    return torch.from_numpy(best).to(p)


def _around(start: FloatArray, spread: FloatArray, seed: int) -> FloatArray:
    """`[N, P]`: random settings with the spread of the controller's errors."""
    drawn = np.random.default_rng([seed, 2]).standard_normal((_FIRST + len(start), len(start)))
    near: FloatArray = np.clip(start + spread * drawn, 0.0, 1.0)
    return near
