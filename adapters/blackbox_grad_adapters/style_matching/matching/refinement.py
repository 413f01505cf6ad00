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
from blackbox_grad_adapters.style_matching.matching.against import repeated
from blackbox_grad_adapters.style_matching.matching.band import Band
from blackbox_grad_adapters.style_matching.matching.spread import residuals, statistics
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder

#: Renders per batch.
_AT_ONCE = 3

#: Renders around the controller's settings before the pursuit begins: this number, plus one per parameter.
_FIRST = 5

#: Weight of the distance against the controller's settings, and the part of the traits' distance that must be left. Both were
#: chosen on the validation corpora and on the two halves of the bundled guitar, which differ much.
_WEIGHT, _CONFIRMED = 5.0, 0.93


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
    others: Tensor | None = None,
) -> Tensor:
    """Settings `[P]` with which `x: [C, T]` comes nearer to `reference: [C, T']` than with `p: [P]`.

    Minimises a weighted sum: the distance of the judges' statistics, in units of what two parts of one recording differ by, and
    the squared distance to `p`, relative to the variance of the controller's errors. So a distance that other content explains is
    not fitted. A `Pursuit` chooses the settings to render. The encoder's traits, which are not searched with, must confirm the
    result: otherwise it is `p`.

    The search begins at `p`, or at that of the controller's `others` which comes nearest.

    Args:
        variance: `[P]`, of the errors of the controller's settings.
        renders: the most renders.
        band: what the recordings share; all by default.
        others: `[K, P]`, less likely answers of the controller.

    Ctrl-C or SIGTERM ends it with the best so far.
    """
    if renders <= 0:
        return p
    space, heard = path.effect.parameter_space, band or Band(encoder.sample_rate)
    excerpt = loudest(x, 2 * encoder.length)[None]
    start, spread = p.double().numpy(), variance.double().sqrt().numpy()
    answers = space.snap(torch.cat([p[None], *(() if others is None else [others.to(p)])]).double().numpy())[:renders]
    with torch.no_grad():
        other = path.dry(repeated(reference, encoder.sample_rate)[None])
        goal = statistics(other, encoder.sample_rate)
        excerpt = repeated(excerpt[0], encoder.sample_rate)[None]

        def rendered(points: FloatArray) -> Tensor:
            return heard(path(excerpt, torch.from_numpy(points).to(p)))

        def found(points: FloatArray, differences: Tensor) -> Found:
            away = torch.from_numpy((points - start) / spread)
            losses = _WEIGHT * differences.abs().sum(dim=1) + away.square().sum(dim=1)
            return losses.numpy(), list(torch.cat([scale * differences, away], dim=1))  # the emulator adds up squares

        def evaluate(points: FloatArray) -> Found:
            interrupt.check()
            return found(points, apart(points))

        def apart(points: FloatArray) -> Tensor:
            return residuals(statistics(rendered(points), encoder.sample_rate), goal)

        first = apart(answers)
        nearest = int(first.abs().sum(dim=1).argmin())
        start, scale = (
            answers[nearest],
            (_WEIGHT * float(first[nearest].abs().sum())) ** 0.5 / max(float(first[nearest].norm()), 1e-9),
        )
        around = space.snap(_around(start, spread, seed))[: renders - len(answers)]
        pursuit = Pursuit(space, seed, patience=None)
        pursuit.tell(answers, *found(answers, first))
        if len(around):
            pursuit.tell(around, *found(around, apart(around)))
        with contextlib.suppress(KeyboardInterrupt), deferred_interrupts() as interrupt:
            drive(pursuit, space, evaluate, renders - len(answers) - len(around), _AT_ONCE)
        best = pursuit.best if np.isfinite(pursuit.lowest) else answers[0]
        wanted = encoder.traits(other)
        left = [float((encoder.traits(rendered(q[None])) - wanted).abs().mean()) for q in (best, answers[0])]
    return torch.from_numpy(best).to(p) if left[0] < _CONFIRMED * left[1] else p


def _around(start: FloatArray, spread: FloatArray, seed: int) -> FloatArray:
    """`[N, P]`: random settings with the spread of the controller's errors."""
    drawn = np.random.default_rng([seed, 2]).standard_normal((_FIRST + len(start), len(start)))
    near: FloatArray = np.clip(start + spread * drawn, 0.0, 1.0)
    return near
