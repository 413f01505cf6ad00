"""Which parameters of an effect are heard in recordings."""

from __future__ import annotations

import numpy as np
import torch

from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.data import excerpts
from blackbox_grad_adapters.style_matching.data.recordings import Tracks
from blackbox_grad_adapters.style_matching.effect_path import PEAK, EffectPath, normalise

#: A parameter is not heard if it changes no sample by more than this part of the peak, at two settings of the others.
_INAUDIBLE = 1e-3

#: Renders in one batch.
_AT_ONCE = 16


def unheard(path: EffectPath, tracks: Tracks, length: int) -> list[str]:
    """The parameters that change nothing. Raises `AudioError` if none changes anything."""
    rng = np.random.default_rng(1)
    x = normalise(torch.from_numpy(excerpts.draw(tracks, length, rng))[None])
    space = path.effect.parameter_space
    heard = np.zeros(path.size, bool)
    least = PEAK * max(_INAUDIBLE, 3.0 * path.effect.info.repeatability)
    for base in (space.defaults, space.snap(rng.uniform(size=path.size))):
        moved = np.repeat(base[None], path.size, axis=0)
        moved[range(path.size), range(path.size)] += np.where(base < 0.5, 0.5, -0.5)
        points = torch.from_numpy(np.concatenate([base[None], space.snap(moved)])).float()
        with torch.no_grad():
            y = torch.cat([path(x.expand(len(some), -1, -1), some) for some in points.split(_AT_ONCE)])
        heard |= ((y[1:] - y[:1]).abs().amax(dim=(1, 2)) > least).numpy()
    if not heard.any():
        raise AudioError(
            f"{path.spec.address}: none of its free parameters ({', '.join(path.names[:5])}) is heard: renders of a recording at "
            "different settings are equal; choose others with --only, or another effect"
        )
    return [name for name, there in zip(path.names, heard, strict=True) if not there]
