"""Excerpts of recordings: random ones that are not quiet, or the loudest."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from blackbox_grad.effects import Audio
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.data.recordings import Tracks

#: An excerpt is quiet if the mean square of either half is below this: -40 dBFS.
QUIET = 1e-4

#: Excerpts drawn before giving up.
_TRIES = 1000


def draw(tracks: Tracks, length: int, rng: np.random.Generator) -> Audio:
    """`[C, length]`: a random excerpt. Every place of every track is equally likely.

    Raises:
        AudioError: no track is that long, or all are too quiet.
    """
    return draw_of(tracks, length, rng)[1]


def draw_of(tracks: Tracks, length: int, rng: np.random.Generator) -> tuple[int, Audio]:
    """As `draw`, with the number of the track that it is of."""
    places = np.maximum(np.asarray(tracks.lengths) - length + 1, 0)
    if not places.any():
        seconds, longest = length / tracks.sample_rate, max(tracks.lengths) / tracks.sample_rate
        raise AudioError(
            f"no recording is as long as an excerpt: {seconds:.1f} s, and the longest has {longest:.1f} s; ask for a shorter "
            "excerpt, or add recordings (short ones of a group are joined)"
        )
    ends = np.cumsum(places)
    for _ in range(_TRIES):
        place = int(rng.integers(ends[-1]))
        track = int(np.searchsorted(ends, place, side="right"))
        start = place - int(ends[track] - places[track])
        excerpt = tracks[track][:, start : start + length]
        if all(np.mean(np.square(half)) >= QUIET for half in np.array_split(excerpt, 2, axis=1)):
            return track, np.array(excerpt)
    raise AudioError(f"{_TRIES} excerpts of the recordings were all quieter than -40 dBFS; make them louder, or choose others")


def loudest(x: Tensor, length: int) -> Tensor:
    """The part `[C, length]` of `x: [C, T]` with the most energy; all of `x` if it is shorter."""
    if x.shape[1] <= length:
        return x
    energy = x.square().sum(dim=0).double().cumsum(dim=0)
    start = int((energy[length:] - energy[:-length]).argmax()) + 1
    return x[:, start : start + length]
