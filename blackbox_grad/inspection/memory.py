"""How long a change of a setting is heard: what tells whether the knots of a curve can be probed together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.curves import Curves
from blackbox_grad.errors import AudioError, EffectLoadError, ParameterError, RenderError
from blackbox_grad.inspection.listening import SECONDS
from blackbox_grad.inspection.renders import Renders

#: Of the energy of what a change makes of the sound, the part that may come later than the memory.
LEFT = 0.01

#: How far a setting is moved to listen to it.
FAR = 0.1

#: Held knots of the inspection's curves, 50 ms each, and the one that moves.
_KNOTS, _MOVED = round(SECONDS / 0.05), 4

#: The most parameters that are listened to, the most audible ones.
_MOST = 16


def heard_until(differences: NDArray[np.floating]) -> NDArray[np.int64]:
    """`[K, C, T] -> [K]`: the sample from which on no more than `LEFT` of a difference's energy is left; 0 where there is none."""
    energy = np.square(differences.astype(np.float64)).sum(axis=1)
    left = energy[:, ::-1].cumsum(axis=1)[:, ::-1]
    whole = left[:, :1]
    found: NDArray[np.int64] = np.where(np.isfinite(whole[:, 0]), (left > LEFT * whole).sum(axis=1), 0)
    return found


def memory(renders: Renders, audible: Sequence[int]) -> float | None:
    """Seconds for which a change is heard, of the parameter of which it is heard longest; None where settings cannot move.

    Args:
        renders: of the effect.
        audible: positions of parameters, the most audible first.
    """
    space, rate = renders.space, renders.spec.sample_rate
    chosen = [i for i in audible if space[i].levels is None][:_MOST]
    if not chosen or renders.info.spec.curves is not None:
        return None
    names = tuple(space[i].name for i in chosen)
    spec = replace(renders.spec, parameters=names, curves=Curves((), _KNOTS, SECONDS, "held"))
    base = np.repeat(space.defaults[chosen], _KNOTS)
    points = np.repeat(base[None], len(chosen) + 1, axis=0)
    for k, value in enumerate(space.defaults[chosen]):
        points[k + 1, k * _KNOTS + _MOVED] += FAR if value < 0.5 else -FAR
    try:
        y, finite = renders.of(spec, points)
    except (AudioError, EffectLoadError, ParameterError, RenderError):
        return None
    if not finite.all():
        return None
    ends = heard_until(y[1:] - y[:1])
    released = (_MOVED + 1) * SECONDS / _KNOTS
    return math.inf if ends.max() >= y.shape[-1] else max(0.0, round(float(ends.max() / rate - released), 4))
