"""Short excerpts of real recordings: the bundled guitar, and speech and music from Debian's packages, fetched when first used.

The packages are corpora for evaluation; nothing here is trained on what it is measured on.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from platformdirs import user_cache_path

from blackbox_grad.audio_files import example, read, resample
from blackbox_grad.effects import Audio

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
        audio, rate = _read(_unpacked(source.package) / source.file)
        start = source.start
    first = round(start * rate)
    audio = audio[:, first : first + round(LENGTH / SAMPLE_RATE * rate) + 1].mean(axis=0, keepdims=True)
    if rate != SAMPLE_RATE:
        audio = resample(audio, rate, SAMPLE_RATE)
    audio = audio[:, :LENGTH]
    return np.ascontiguousarray(audio * (_PEAK / np.abs(audio).max()), dtype=np.float32)


def _read(path: Path) -> tuple[Audio, float]:
    if path.suffix != ".g722":
        return read(path)
    from G722 import G722

    return np.asarray(G722(16000, 64000).decode(path.read_bytes()), np.float32)[None] / 2**15, 16000.0


def _unpacked(package: str) -> Path:
    """The folder with the files of a Debian package; downloaded the first time, which needs no root."""
    folder = user_cache_path("blackbox-grad", appauthor=False) / "recordings" / package
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            options = {"cwd": temporary, "check": True, "capture_output": True, "timeout": 300}
            try:
                subprocess.run(["apt-get", "download", package], **options)
                (archive,) = Path(temporary).glob("*.deb")
                subprocess.run(["dpkg", "-x", str(archive), "files"], **options)
            except (OSError, subprocess.SubprocessError, ValueError) as error:
                raise RuntimeError(
                    f"the recordings of Debian's package {package} cannot be had ({error}); they need apt-get and dpkg, "
                    "and `apt-get update` done once. `--tasks guitar` needs none of them"
                ) from error
            shutil.move(Path(temporary) / "files", folder)
    return folder
