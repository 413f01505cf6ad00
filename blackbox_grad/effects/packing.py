"""Notes as an array of audio: how they reach an instrument.

Hosts, shared memory, batches and estimators carry `[C, T] float32`. So a list of MIDI messages is written into an array of the
shape of the render that it asks for: in order of channels, four numbers of a head (a mark, an edition, how many messages, the
sample rate), and three for each message (its time as two numbers, its bytes as one). Each is an integer that float32 holds exactly.
Notes beside audio are one more channel of it, the last one, `[C + 1, T]`, which comes back silent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from blackbox_grad.effects.audio import Audio
from blackbox_grad.errors import AudioError

#: The most notes and controls of one render.
MOST_EVENTS = 200_000

#: The first number of packed notes. Audio lies in [-1, 1].
_MARK = np.float32(-31415.75)

_EDITION, _HEAD, _OF_MESSAGE = 1, 4, 3

#: A time is `blocks * _BLOCK + rest`, in samples.
_BLOCK = 65536


@dataclass(frozen=True)
class Messages:
    """MIDI messages in order of time.

    Attributes:
        times: `[N] int64`, samples from the start of the render.
        data: `[N, 3] uint8`: status with the channel, and two data bytes.
    """

    times: NDArray[np.int64]
    data: NDArray[np.uint8]


def is_packed(audio: Audio) -> bool:
    """Whether this array holds notes."""
    return audio.size >= _HEAD and bool(audio.flat[0] == _MARK)


def beside(audio: Audio, notes: Audio) -> Audio:
    """`[C, T]`, and packed notes `[1, T]`, as one array `[C + 1, T]`. Hosts render it, too."""
    return np.concatenate([audio, notes])


def parted(audio: Audio) -> tuple[Audio, Audio | None]:
    """What `beside` has put together; None in place of notes for audio alone, and for notes alone."""
    if len(audio) > 1 and audio.shape[1] and audio[-1, 0] == _MARK and audio[0, 0] != _MARK:
        return audio[:-1], audio[-1:]
    return audio, None


def packed(messages: Messages, samples: int, channels: int, sample_rate: float) -> Audio:
    """`[channels, samples]`, from which `unpacked` reads the messages that lie within.

    Raises:
        AudioError: they do not fit in.
    """
    inside = messages.times < samples
    times, data = messages.times[inside], messages.data[inside].astype(np.int64)
    result = np.zeros((channels, samples), np.float32)
    flat = result.reshape(-1)
    end = _HEAD + _OF_MESSAGE * len(times)
    if end > flat.size:
        raise AudioError(
            f"{len(times)} MIDI messages do not fit into {samples} samples, which have room for "
            f"{max(0, flat.size - _HEAD) // _OF_MESSAGE}; render more seconds, or fewer notes"
        )
    flat[:_HEAD] = _MARK, _EDITION, len(times), sample_rate
    table = flat[_HEAD:end].reshape(-1, _OF_MESSAGE)
    table[:, 0], table[:, 1] = np.divmod(times, _BLOCK)
    table[:, 2] = data @ np.array([1, 256, 65536])
    return result


def unpacked(audio: Audio, sample_rate: float) -> Messages:
    """The messages of packed notes.

    Raises:
        AudioError: it holds audio, or notes that were packed for another sample rate.
    """
    if not is_packed(audio):
        raise AudioError(
            f"an instrument plays notes, and got audio of shape {audio.shape}; give blackbox_grad.Notes, such as "
            "Notes.one('C4', seconds=1.0) or Notes.from_midi('riff.mid')"
        )
    flat = audio.reshape(-1)
    _, edition, count, rate = flat[:_HEAD].tolist()
    end = _HEAD + _OF_MESSAGE * count
    if edition != _EDITION or count != int(count) or not _HEAD <= end <= flat.size:
        raise AudioError(f"these packed notes are damaged: {count:g} messages in an array of shape {audio.shape}")
    if rate != np.float32(sample_rate):
        raise AudioError(f"these notes are packed for {rate:g} Hz, and the instrument plays at {sample_rate:g} Hz")
    table = flat[_HEAD : int(end)].reshape(-1, _OF_MESSAGE).astype(np.int64)
    message = table[:, 2]
    data = np.stack([message & 255, (message >> 8) & 255, (message >> 16) & 255], axis=1).astype(np.uint8)
    return Messages(table[:, 0] * _BLOCK + table[:, 1], data)
