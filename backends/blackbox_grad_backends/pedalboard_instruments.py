"""Notes that a VST3 instrument plays in Pedalboard."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from blackbox_grad.effects import Audio, Messages
from blackbox_grad.errors import EffectLoadError
from blackbox_grad_backends.native.instruments import steering
from blackbox_grad_backends.native.midi_bytes import as_bytes

#: Samples of one call: a multiple of a block. Pedalboard multiplies times with the sample rate in float32, which gives the sample
#: for certain up to some millions.
PIECE = 1 << 20

#: Part of a sample between two messages. Pedalboard takes many of one time for waits, and refuses them; a render has at most
#: 200 000, which stay within the sample.
_APART = 1e-7


def play(
    plugin: Any, messages: Messages, start: int, end: int, sample_rate: float, channels: int, block: int, reset: bool = False
) -> Audio:
    """The samples from `start` to `end`: `[channels, end - start]`. Without a reset it continues what came before.

    A block begins where a controller or a bend stands: within one, a VST3 would get it at the beginning.

    Args:
        plugin: Pedalboard's object.
        messages: of the whole render.
        start: samples.
        end: samples.
        sample_rate: Hz.
        channels: as many as the plug-in has outputs.
        block: samples that the plug-in gets at a time.
        reset: whether to reset the plug-in first, as its `_reload_type` says.
    """
    parts = []
    steered = messages.times[steering(messages)]
    edges = np.unique([*range(start, end, PIECE), *steered[(steered > start) & (steered < end)].tolist(), end]).tolist()
    for begin, stop in pairwise(edges):
        samples = stop - begin
        first, last = np.searchsorted(messages.times, (begin, stop)).tolist()
        seconds = (messages.times[first:last] - begin + 0.5 + _APART * np.arange(last - first)) / sample_rate
        midi = list(zip(map(as_bytes, messages.data[first:last].tolist()), seconds.tolist(), strict=True))
        parts.append(
            # half a sample more: Pedalboard rounds the duration down
            plugin.process(midi, (samples + 0.5) / sample_rate, sample_rate, channels, block, reset and begin == start)
        )
    result: Audio = np.concatenate(parts, axis=1) if len(parts) != 1 else parts[0]
    return result


def outputs_of(plugin: Any, sample_rate: float) -> int:
    """How many channels an instrument plays: Pedalboard plays no others."""
    refused = ""  # not the error: its traceback would hold this frame, and the callers' with the plug-in
    for channels in (2, 1, 4, 6, 8, 16):
        try:
            plugin.process([], 64.5 / sample_rate, sample_rate, channels, reset=False)
        except (ValueError, RuntimeError) as error:
            refused = refused or str(error)
        else:
            return channels
    raise EffectLoadError(f"{plugin.name} plays neither 1, 2, 4, 6, 8 nor 16 channels ({refused})")
