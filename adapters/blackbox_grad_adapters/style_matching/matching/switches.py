"""Stepped parameters and switches, which a controller does not set: their levels are tried."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from blackbox_grad import EffectSpec
from blackbox_grad.parameters import FloatArray, Parameter
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.matching.against import Against

#: A level replaces the default if it leaves less than this part of the default's distance to the reference. It was chosen on the
#: validation corpora: references that were made with the defaults keep them.
CLEARLY = 0.85

#: Most levels of one parameter that are tried.
_MOST = 16


def with_switches(path: EffectPath) -> EffectPath:
    """The effect with its stepped parameters and switches free as well, after the others; the same path if it has none."""
    space = path.effect.parameter_space
    names = tuple(p.name for p in space.everything if p.trainable and p.kind != "continuous" and p.name not in path.names)
    if not names:
        return path
    spec = EffectSpec.of(path.spec.address, path.sample_rate, path.names + names)
    return EffectPath(spec, host=path.effect.host)


def with_defaults(path: EffectPath, p: Tensor) -> Tensor:
    """Settings `[B, P]` of the first parameters of `path`, and the defaults of the others: `[B, P']`."""
    rest = torch.from_numpy(path.effect.parameter_space.defaults[p.shape[1] :]).to(p)
    return torch.cat([p, rest.expand(len(p), -1)], dim=1)


def chosen(path: EffectPath, against: Against, p: Tensor) -> Tensor:
    """Settings `[1, P]` with the levels of stepped parameters that come nearest to the reference.

    One parameter after the other. Each of its levels is tried with the others of `p: [1, P]`, and with their defaults, because a
    network that has never heard this level may be wrong about them too. `p` stays unless another is clearly better (`CLEARLY`) than
    it, and than the input itself. It costs two renders for each level, at most 32 a parameter.
    """
    space = path.effect.parameter_space
    stepped = [i for i, parameter in enumerate(space) if parameter.kind != "continuous"]
    if not stepped:
        return p
    best, lowest = p, min(1.0, against.left(against.of_settings(path, p)))
    for place in stepped:
        points = [q for base in (best[0].numpy(), space.defaults) for q in _others(space[place], base, place)]
        tried = [torch.from_numpy(q).to(p)[None] for q in points]
        found = [against.left(against.of_settings(path, point)) for point in tried]
        first = int(np.argmin(found))
        if found[first] < CLEARLY * lowest:
            best, lowest = tried[first], found[first]
    return best


def _others(parameter: Parameter, point: FloatArray, place: int) -> FloatArray:
    """`[N, P]`: the point with the other levels of one parameter."""
    levels = np.linspace(0.0, 1.0, min(parameter.levels or 2, _MOST))
    others = [level for level in levels if abs(level - point[place]) > 1e-6]
    points = np.repeat(point[None], len(others), axis=0)
    points[:, place] = others
    return points
