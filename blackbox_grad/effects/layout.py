"""Audio of any channel count through a plug-in with its own.

The rule, for audio of C channels and a plug-in with M inputs for it and N outputs:

1. C > N: groups of N channels, one after the other, the last one smaller. A mono plug-in takes the channels one at a time, a stereo
   plug-in takes pairs.
2. Inputs get the channels in turn: input m gets channel m mod C. With more channels than inputs, it gets the mean of the channels
   m, m + M, …
3. Channels get the outputs in turn: channel c is the mean of the outputs c, c + C, …

So mono through a stereo plug-in is doubled, then averaged, and stereo into a mono input is averaged.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from blackbox_grad.effects.audio import Audio


def through(process: Callable[[Audio], Audio], audio: Audio, inputs: int, outputs: int) -> Audio:
    """Render `[C, T]` by the rule above. `process`: `[inputs, T] -> [outputs, T]`."""
    channels = audio.shape[0]
    if channels == inputs == outputs:
        return process(audio)
    if channels > outputs:
        groups = [audio[start : start + outputs] for start in range(0, channels, outputs)]
        return np.concatenate([through(process, group, inputs, outputs) for group in groups])
    return _folded(process(dealt(audio, inputs)), channels)


def dealt(audio: Audio, inputs: int) -> Audio:
    """`[C, T]` -> `[inputs, T]`: the channels in turn; their means where there are more channels than inputs."""
    channels = audio.shape[0]
    if channels == inputs:
        return audio
    return _folded(audio, inputs) if channels > inputs else np.take(audio, np.arange(inputs) % channels, axis=0)


def _folded(audio: Audio, count: int) -> Audio:
    """`[N, T]` -> `[count, T]`: the mean of the channels c, c + count, …"""
    if len(audio) == count:
        return audio
    return np.concatenate([_mean(audio[c::count]) for c in range(count)])


def _mean(audio: Audio) -> Audio:
    """`[C, T]` -> `[1, T]`, in a third of the time of `numpy.mean`."""
    if len(audio) == 1:
        return audio
    with np.errstate(over="ignore", invalid="ignore"):  # some effects blow up
        total = audio[:1] + audio[1:2]
        for channel in audio[2:]:
            total += channel
        total *= np.float32(1 / len(audio))
    return np.asarray(total, dtype=np.float32)
