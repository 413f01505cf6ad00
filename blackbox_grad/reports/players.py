"""Recordings in a page: what a browser plays, with one play position for all."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from blackbox_grad.audio_files import encoded, resample
from blackbox_grad.audio_formats import FLAC_16
from blackbox_grad.dependencies import library
from blackbox_grad.effects.audio import Audio
from blackbox_grad.reports import figures

#: Seconds of each recording in the page.
MOST_SECONDS = 30.0

#: Hz. Audio at a rate that the page cannot hold is resampled to this.
_PLAYED = 48000.0


def flac(audio: Audio, sample_rate: float) -> str:
    """`[C, T]` as 16-bit FLAC in a data URI, which every browser plays. Averages more than two channels to one.

    At a sample rate that FLAC does not have, the audio is resampled.
    """
    stereo = np.clip(audio if audio.shape[0] <= 2 else audio.mean(axis=0, keepdims=True), -1.0, 1.0)
    if FLAC_16.trouble(stereo.shape[0], sample_rate):
        stereo, sample_rate = np.clip(resample(stereo, sample_rate, _PLAYED), -1.0, 1.0), _PLAYED
    return "data:audio/flac;base64," + base64.b64encode(encoded(stereo, sample_rate, FLAC_16)).decode()


@dataclass(frozen=True)
class Recording:
    """A recording in a player.

    Attributes:
        key: its name for programs.
        title, note: its name for people, and what it is.
        source, picture: its sound and its spectrogram, both data URIs.
        repeats: it is shorter than the others, and repeats in the player.
    """

    key: str
    title: str
    note: str
    source: str
    picture: str
    repeats: bool = False


@dataclass(frozen=True)
class Player:
    """What the template `player.html` shows, with `player.css` and `player.js`: recordings to switch between while they play.

    Attributes:
        recordings: the last one plays first.
        seconds: of the longest one.
        cut: longer recordings were cut to `MOST_SECONDS`.
        gain: dB, of all.
        levels: factors that make them equally loud, by key; all 1 if `equal` is false.
        equal: whether the page offers that.
        difference, difference_mean: a picture of the last two recordings' difference in level, and its mean size (dB).
    """

    recordings: list[Recording]
    sample_rate: float
    seconds: float
    cut: bool
    gain: float
    levels: dict[str, float]
    equal: bool = False
    difference: str = ""
    difference_mean: float = 0.0

    floor = figures.FLOOR
    spread = figures.SPREAD

    @property
    def keys(self) -> list[str]:
        return [recording.key for recording in self.recordings]

    @property
    def repeating(self) -> list[str]:
        return [recording.key for recording in self.recordings if recording.repeats]

    @property
    def frequency_ticks(self) -> list[figures.Tick]:
        return figures.frequency_ticks(self.sample_rate)

    @property
    def time_ticks(self) -> list[figures.Tick]:
        return figures.time_ticks(self.seconds)

    @property
    def level_colours(self) -> str:
        return figures.gradient("magma")

    @property
    def difference_colours(self) -> str:
        return figures.gradient("difference")


def player(
    parts: Sequence[tuple[str, str, str, Audio]],
    sample_rate: float,
    *,
    repeat: bool = False,
    differ: bool = False,
    loudness: Mapping[str, float] | None = None,
) -> Player:
    """A player for recordings: key, title, note and audio `[C, T]` of each.

    Args:
        sample_rate: Hz, of all.
        repeat: shorter recordings repeat, for recordings of different things; otherwise they end.
        differ: show the difference of the last two.
        loudness: dB, of recordings by key, to offer all of them equally loud.

    All have one gain and one colour scale, so that loudness stays comparable.
    """
    library("matplotlib", "the report")
    whole = max(audio.shape[1] for *_, audio in parts)
    length = min(whole, int(MOST_SECONDS * sample_rate))
    cuts = [audio[:, :length] for *_, audio in parts]
    loudest = max(float(np.abs(a).max(initial=0.0)) for a in cuts)
    gain = min(1.0, 0.999 / max(loudest, 1e-9))
    spectra = [figures.spectrogram(_repeated(a, length) if repeat else a, sample_rate, length) for a in cuts]
    top = max(float(s.max()) for s in spectra)
    levels = [np.maximum(s - top, figures.FLOOR) for s in spectra]
    recordings = [
        Recording(
            key,
            title,
            note,
            flac(cut * gain, sample_rate),
            figures.png(level, figures.FLOOR, 0.0, "magma"),
            repeat and 0 < cut.shape[1] < length,
        )
        for (key, title, note, _), cut, level in zip(parts, cuts, levels, strict=True)
    ]
    difference = levels[-2] - levels[-1]
    quietest = min((loudness or {}).values(), default=0.0)
    return Player(
        recordings,
        sample_rate,
        length / sample_rate,
        whole > length,
        20.0 * float(np.log10(gain)),
        {key: 10.0 ** ((quietest - (loudness or {}).get(key, quietest)) / 20.0) for key, *_ in parts},
        bool(loudness),
        figures.png(difference, -figures.SPREAD, figures.SPREAD, "difference") if differ else "",
        float(np.abs(difference).mean()),
    )


def _repeated(audio: Audio, length: int) -> Audio:
    """`[C, T]` -> `[C, length]`."""
    if audio.shape[1] in (0, length):
        return audio
    return np.tile(audio, -(-length // audio.shape[1]))[:, :length]
