"""Short excerpts of real recordings: the bundled guitar, and speech and music from Debian's packages, fetched at first use.

The packages are corpora for evaluation: no training uses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from blackbox_grad.audio_files import example, resample
from blackbox_grad.effects import Audio
from blackbox_grad_adapters.style_matching.data.corpora import corpus
from blackbox_grad_adapters.style_matching.data.recordings import decode

SAMPLE_RATE = 24000.0
LENGTH = 16384  # 0.68 s: a render costs less than a millisecond

#: Peak of every excerpt, full scale is 1.
_PEAK = 0.5


@dataclass(frozen=True)
class _Source:
    """A file in a Debian package, and the second where the excerpt begins."""

    package: str
    file: str
    start: float


_SECTOID = "usr/share/games/fretsonfire/data/songs/sectoid"
_SOURCES = {
    "speech": _Source("asterisk-core-sounds-en-g722", "usr/share/asterisk/sounds/en_US_f_Allison/demo-congrats.g722", 3.0),
    "riff": _Source("fretsonfire-songs-sectoid", f"{_SECTOID}/Escape from chaosland/guitar.ogg", 40.0),
    "band": _Source("fretsonfire-songs-sectoid", f"{_SECTOID}/Feelings/song.ogg", 60.0),
}

RECORDINGS = ("guitar", *_SOURCES)


@cache
def excerpt(name: str) -> Audio:
    """`[1, LENGTH]` at `SAMPLE_RATE`."""
    if name == "guitar":
        audio, rate, start = *example(), 1.0
    else:
        source = _SOURCES[name]
        package = corpus(source.package)
        package.fetch()
        audio, rate = decode(package.folder / source.file)
        start = source.start
    first = round(start * rate)
    audio = audio[:, first : first + round(LENGTH / SAMPLE_RATE * rate) + 1].mean(axis=0, keepdims=True)
    if rate != SAMPLE_RATE:
        audio = resample(audio, rate, SAMPLE_RATE)
    audio = audio[:, :LENGTH]
    return np.ascontiguousarray(audio * (_PEAK / np.abs(audio).max()), dtype=np.float32)
