"""How far the sound of an effect is from a reference, where nobody knows what the reference sounded like before.

Input and reference are different recordings. So statistics are compared, and each one counts by how much it usually differs between
two parts of one recording: that is the unit of the encoder's traits.
"""

from __future__ import annotations

import torch
from torch import Tensor

from blackbox_grad_adapters.style_matching.networks.encoder import Encoder

#: Windows much quieter than the loudest (-20 dB) are not typical.
_QUIET = 0.1


class Hearing:
    """The reference as the encoder hears it, and a part of the input to hear the effect on.

    Args:
        encoder: what hears.
        x: `[C, T]`, the input at the encoder's sample rate.
        reference: `[C, T']`.

    Attributes:
        excerpt: `[1, C, ≤ length]`: the window of the input whose sound is the nearest to that of all of it.
        usual: how far the beginning and the end of one of the two recordings are from each other, the larger of the two distances;
            1, the mean of many recordings, if they are too short to tell.
    """

    def __init__(self, encoder: Encoder, x: Tensor, reference: Tensor) -> None:
        self._encoder = encoder
        self.excerpt = _typical(encoder, x)[None]
        with torch.no_grad():
            self._goal = encoder.traits(reference[None])
            apart = [_within(encoder, recording) for recording in (x, reference)]
        self.usual = max([found for found in apart if found is not None], default=1.0)

    def apart(self, y: Tensor) -> Tensor:
        """`[N, F]`: what `y: [N, C, T]` has more of than the reference; 1 is usual between two parts of one recording."""
        with torch.no_grad():
            return self._encoder.traits(y) - self._goal

    def distance(self, y: Tensor) -> Tensor:
        """`[N]`: the root mean square of `apart`, as in `StyleMatch.distance`."""
        return self.apart(y).square().mean(dim=1).sqrt()


def _within(encoder: Encoder, x: Tensor) -> float | None:
    """The distance between the first and the last window of `x: [C, T]`; None if it has no two windows."""
    length = encoder.length
    if x.shape[1] < 2 * length:
        return None
    first, last = (encoder.traits(part[None]) for part in (x[:, :length], x[:, -length:]))
    return float((first - last).square().mean().sqrt())


def _typical(encoder: Encoder, x: Tensor) -> Tensor:
    """`[C, length]`: the most typical window of `x: [C, T]`; all of `x` if it is shorter."""
    length = encoder.length
    if x.shape[1] < 2 * length:
        return x[:, : length + length // 2]
    windows = x.unfold(1, length, length // 2).transpose(0, 1)  # [W, C, length], a view
    level = windows.square().mean(dim=(1, 2)).sqrt()
    with torch.no_grad():
        traits = torch.cat([encoder.traits(window[None]) for window in windows])
    loud = level >= _QUIET * level.max()
    unlike = (traits - traits[loud].mean(dim=0)).square().sum(dim=1)
    return windows[int(torch.where(loud, unlike, torch.inf).argmin())]
