"""The few seconds of a sound on which settings are compared: the loudest of a recording, the first of notes."""

from __future__ import annotations

import numpy as np

from blackbox_grad.effects.audio import Audio
from blackbox_grad.effects.packing import Messages, beside, is_packed, packed, parted, unpacked

#: Seconds.
EXCERPT = 4.0


def excerpt(sound: Audio, sample_rate: float) -> Audio:
    """`[C, T]`, at most 4 s: of audio the part with the most energy, of packed notes the part from the first on.

    Notes beside audio begin with it, and those that sound already begin at its start.
    """
    audio, notes = parted(sound)
    length = min(audio.shape[1], round(EXCERPT * sample_rate))
    if is_packed(audio):
        messages = unpacked(audio, sample_rate)
        start = int(messages.times.min(initial=audio.shape[1] - length))
        return _later(messages, start, min(length, audio.shape[1] - start), len(audio), sample_rate)
    energy = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64).sum(axis=0))])
    start = int((energy[length:] - energy[: len(energy) - length]).argmax())
    part = audio[:, start : start + length]
    if notes is None:
        return part
    return beside(part, _later(unpacked(notes, sample_rate), start, length, 1, sample_rate))


def _later(messages: Messages, start: int, length: int, channels: int, sample_rate: float) -> Audio:
    """The messages of a render that begins at this sample; what was before happens at its beginning."""
    return packed(Messages(np.maximum(messages.times - start, 0), messages.data), length, channels, sample_rate)
