"""What listeners compare: recordings of one sound through several systems, cut to equal lengths."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from blackbox_grad.audio_files import resample
from blackbox_grad.effects import Audio
from blackbox_grad.errors import AudioError

#: The name of the reference among the sounds of an item.
REFERENCE = "reference"

#: Seconds: the shortest loop of ITU-R BS.1534-3, and so the shortest sound; and the length from which it advises against more.
SHORTEST, LONGEST = 0.5, 12.0

#: Hz. Sounds at a higher rate are resampled to it: phones play no more.
_HIGHEST_RATE = 48_000.0

#: Seconds by which the sounds of an item may differ in length without a warning.
_SAME_LENGTH = 0.05


@dataclass(frozen=True)
class Item:
    """One sound, processed by several systems.

    Attributes:
        name: of the item, without its effect.
        effect: the group of items that it belongs to; may be empty.
        kind: speech, music, or empty.
        sounds: by system, `[C, T] float32`; the reference, if there is one, as `REFERENCE`.
        sample_rate: Hz, of all sounds.
    """

    name: str
    effect: str
    kind: str
    sounds: dict[str, Audio]
    sample_rate: float

    @property
    def systems(self) -> list[str]:
        """All but the reference."""
        return [name for name in self.sounds if name != REFERENCE]

    @property
    def title(self) -> str:
        return " · ".join(filter(None, (self.effect, self.kind, self.name)))


def alike(items: Iterable[Item], seconds: float) -> list[Item]:
    """Items of one sample rate; the sounds of each have one length, one number of channels, and start at the same time.

    Args:
        seconds: the most. Of longer sounds, the loudest part of the reference (or of the first sound) is kept, of all the same.

    Raises:
        AudioError: a sound is too short.
    """
    items = list(items)
    rate = min(max(item.sample_rate for item in items), _HIGHEST_RATE)
    return [_cut(_resampled(item, rate), seconds) for item in items]


def chosen(items: Iterable[Item], systems: Sequence[str]) -> list[Item]:
    """The items with these systems only; all systems if none are named. Raises `AudioError` if no item has one of them."""
    items = list(items)
    known = list(dict.fromkeys(name for item in items for name in item.systems))
    if unknown := [name for name in systems if name not in known]:
        raise AudioError(f"there is no system {unknown[0]!r}; there are {', '.join(known) or 'none'}")
    kept = [
        replace(item, sounds={n: a for n, a in item.sounds.items() if n == REFERENCE or not systems or n in systems})
        for item in items
    ]
    return [item for item in kept if item.systems]


def _resampled(item: Item, rate: float) -> Item:
    if item.sample_rate == rate:
        return item
    sounds = {name: resample(audio, item.sample_rate, rate) for name, audio in item.sounds.items()}
    return replace(item, sounds=sounds, sample_rate=rate)


def _cut(item: Item, seconds: float) -> Item:
    lengths = {name: audio.shape[1] for name, audio in item.sounds.items()}
    shortest = min(lengths, key=lengths.__getitem__)
    length = lengths[shortest]
    if max(lengths.values()) - length > _SAME_LENGTH * item.sample_rate:
        longest = max(lengths, key=lengths.__getitem__)
        warnings.warn(
            f"{item.title}: {longest} lasts {lengths[longest] / item.sample_rate:.2f} s and {shortest} "
            f"{length / item.sample_rate:.2f} s; all are cut to the shorter length",
            stacklevel=2,
        )
    if length < SHORTEST * item.sample_rate:
        raise AudioError(
            f"{item.title}: {shortest} lasts {length / item.sample_rate:.2f} s, and a sound must last {SHORTEST} s or longer; "
            "leave it out"
        )
    channels = 2 if any(audio.shape[0] == 2 for audio in item.sounds.values()) else 1
    most = round(seconds * item.sample_rate)
    start = _loudest(next(iter(item.sounds.values()))[:, :length], most)
    sounds = {name: _channels(audio[:, :length], channels)[:, start : start + most] for name, audio in item.sounds.items()}
    return replace(item, sounds=sounds)


def _loudest(audio: Audio, length: int) -> int:
    """The first sample of the part `[C, length]` with the most energy."""
    if audio.shape[1] <= length:
        return 0
    energy = np.concatenate([[0.0], np.cumsum(np.square(audio, dtype=np.float64).sum(axis=0))])
    return int((energy[length:] - energy[:-length]).argmax())


def _channels(audio: Audio, count: int) -> Audio:
    """A page plays one or two channels: more are averaged, and a mono sound among stereo ones is doubled."""
    if audio.shape[0] > 2:
        audio = audio.mean(axis=0, keepdims=True)
    return np.repeat(audio, 2, axis=0) if audio.shape[0] < count else audio
