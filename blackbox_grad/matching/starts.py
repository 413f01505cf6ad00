"""Settings that a caller thinks near, such as factory presets: they are rendered first, and the search goes on from the best."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from blackbox_grad.effects.opening import EffectInfo
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import BlackboxGradError, ParameterError
from blackbox_grad.hosts.answering import presets_in
from blackbox_grad.hosts.protocol import Host
from blackbox_grad.parameters.parameter import FloatArray

#: The most renders of starts, as a part of all.
_SHARE = 0.25

#: Starts that differ by less are the same.
_SAME = 1e-6


def preset_starts(host: Host, spec: EffectSpec, asked: str | None) -> list[FloatArray]:
    """The factory presets, each `[P]`; none if the host cannot read them and nobody asked for them.

    Raises:
        ParameterError: the starts that were asked for are called otherwise.
    """
    if asked not in (None, "presets"):
        raise ParameterError(f"{spec.address}: starts={asked!r} is unknown; give 'presets', or settings [N, P]")
    try:
        return [preset.p for preset in presets_in(host, spec)]
    except BlackboxGradError:
        if asked is None:
            return []
        raise


def as_starts(info: EffectInfo, starts: ArrayLike | None, renders: int) -> FloatArray:
    """`[N, P]`: the starts, each once; of more than a quarter of the renders, some that are far from each other.

    Raises:
        ParameterError: they are not settings of this effect.
    """
    space = info.parameters
    empty = np.empty((0, len(space)))
    if starts is None:
        return empty
    given = np.asarray(starts, dtype=np.float64)
    if given.size == 0:
        return empty
    if given.ndim != 2 or given.shape[1] != len(space):
        raise ParameterError(
            f"{info.spec.address}: starts must have the shape [N, {len(space)}] ({', '.join(space.names)}), got "
            f"{list(given.shape)}"
        )
    try:
        points = space.snap(space.check(given))
    except ParameterError as error:
        raise ParameterError(f"{info.spec.address}: starts: {error}") from None
    return _apart(points, space.snap(space.defaults), max(1, int(_SHARE * renders)))


def _apart(points: FloatArray, known: FloatArray, most: int) -> FloatArray:
    """Up to so many of `points: [N, P]`, each the one farthest from those before and from `known: [P]`; in their order if all fit.

    T. F. Gonzalez, "Clustering to minimize the maximum intercluster distance", Theor. Comput. Sci. 38, 1985,
    doi:10.1016/0304-3975(85)90224-5.
    """
    nearest = np.square(points - known).sum(1)
    chosen: list[int] = []
    while len(chosen) < min(most, len(points)):
        farthest = int(nearest.argmax())
        if nearest[farthest] <= _SAME**2:
            break
        chosen.append(farthest)
        nearest = np.minimum(nearest, np.square(points - points[farthest]).sum(1))
    if len(points) <= most:
        chosen.sort()
    return points[chosen]
