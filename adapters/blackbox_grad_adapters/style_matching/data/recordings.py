"""Recordings for training: files of a folder, each with its group, decoded once.

A *group* must not lie on two sides of a split: a speaker, an artist, a song's stems and its mix.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import warnings
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from blackbox_grad import audio_files
from blackbox_grad.cache import cache_folder, digest
from blackbox_grad.dependencies import library
from blackbox_grad.effects import Audio
from blackbox_grad.errors import AudioError
from blackbox_grad.files import replacing

#: Suffixes of the files that are read from a folder.
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".aiff", ".aif", ".opus", ".g722")

#: Seconds. Shorter files are joined with others of their group.
SHORT = 10.0

#: A track in the table beside the cache: group, length in samples, CRC-32 of its audio.
_Entry: TypeAlias = tuple[str, int, int]

_G722_RATE, _G722_BITS = 16_000, 64_000


@dataclass(frozen=True)
class Recording:
    """An audio file, and its group."""

    path: Path
    group: str


def in_folder(folder: str | os.PathLike[str]) -> list[Recording]:
    """All audio files below a folder. The files of each subfolder are one group; a file outside subfolders is its own group.

    The name of one audio file is that file.

    Raises:
        AudioError: no such folder or file, or no audio in it.
    """
    root = Path(folder)
    if root.is_file() and root.suffix.lower() in SUFFIXES:
        return [Recording(root, root.stem)]
    if not root.is_dir():
        if root.is_file():
            raise AudioError(f"{root}: not read as audio; files of {', '.join(SUFFIXES)} are")
        raise AudioError(f"{root}: no such {'file' if root.suffix.lower() in SUFFIXES else 'folder'}")
    files = sorted(f for f in root.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
    if not files:
        raise AudioError(f"{root}: no audio in this folder; files of {', '.join(SUFFIXES)} are read")
    return [Recording(file, _first_part(file.relative_to(root))) for file in files]


def _first_part(relative: Path) -> str:
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def split(recordings: Iterable[Recording], share: float = 0.1, seed: int = 0) -> tuple[list[Recording], list[Recording]]:
    """Two sides without a common group: the second has at least one group, and about this share of all bytes.

    Raises:
        AudioError: there is only one group.
    """
    groups: defaultdict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        groups[recording.group].append(recording)
    if len(groups) < 2:
        raise AudioError(
            f"recordings of one group ({', '.join(groups) or 'none at all'}) cannot be split; put each speaker or artist in a "
            "subfolder of its own, or name other recordings for validation"
        )
    sizes = {name: sum(r.path.stat().st_size for r in members) for name, members in groups.items()}
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    wanted, second = share * sum(sizes.values()), [min(order, key=sizes.__getitem__)]
    for name in order:
        if name not in second and len(second) < len(groups) - 1 and sum(map(sizes.__getitem__, [*second, name])) <= wanted:
            second.append(name)
    chosen = set(second)
    first = [r for name, members in groups.items() if name not in chosen for r in members]
    return first, [r for name in second for r in groups[name]]


def decode(path: Path) -> tuple[Audio, float]:
    """`[C, T] float32` and Hz. Lossy formats decode to values beyond ±1, which stay."""
    if path.suffix.lower() != ".g722":
        return audio_files.read(path)
    g722 = library("G722", "reading .g722 files", "style-training")
    try:
        samples = g722.G722(_G722_RATE, _G722_BITS).decode(path.read_bytes())
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror})") from error
    if len(samples) == 0:
        raise AudioError(f"{path}: holds no samples")
    return np.asarray(samples, np.float32)[None] / np.float32(2**15), float(_G722_RATE)


class Tracks:
    """Recordings decoded to one sample rate and channel count, in one cache file that all processes map.

    A recording of `SHORT` seconds or more is a track; the shorter ones of a group are joined to one track.

    Args:
        recordings: leaves out an unreadable one, with a warning.
        sample_rate: Hz.
        channels: 1 averages channels; more repeat the channel of a mono file.
        folder: of the cache.
        on_progress: called with the number of decoded recordings and the total, while it decodes. With a cache it does not decode.

    Attributes:
        groups: the group of each track.
    """

    def __init__(
        self,
        recordings: Iterable[Recording],
        sample_rate: float,
        channels: int = 1,
        folder: Path | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> None:
        recordings = list(recordings)
        self.sample_rate = float(sample_rate)
        self.channels = channels
        self.key = _key(recordings, sample_rate, channels)
        cache = cache_folder("decoded") if folder is None else folder
        self._file, self._table = cache / f"{self.key}.f32", cache / f"{self.key}.json"
        table = _table_of(self._table, self._file, channels)
        if table is None:
            table = self._decode(recordings, on_progress or (lambda done, total: None))
        self.groups: list[str] = [group for group, _, _ in table]
        self.lengths: list[int] = [length for _, length, _ in table]
        self._unchecked = {track: checksum for track, (_, _, checksum) in enumerate(table)}

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, track: int) -> Audio:
        """`[C, T]`, a view into the file. Its first use raises `AudioError` if the file has changed since it was decoded."""
        start = self._starts[track]
        flat = self._samples[start : start + self.lengths[track] * self.channels]
        if (expected := self._unchecked.pop(track, None)) is not None and zlib.crc32(flat.data) != expected:
            self._table.unlink(missing_ok=True)
            raise AudioError(f"{self._file}: the decoded audio is damaged; run this again, and it is decoded again")
        return flat.reshape(self.channels, -1)

    def __iter__(self) -> Iterator[Audio]:
        return (self[i] for i in range(len(self)))

    @property
    def seconds(self) -> float:
        """Seconds of all tracks together."""
        return sum(self.lengths) / self.sample_rate

    @cached_property
    def _samples(self) -> Audio:
        return np.memmap(self._file, np.float32, "r")

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(np.cumsum(self.lengths) * self.channels).tolist()]

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_samples"}

    def _decode(self, recordings: list[Recording], on_progress: Callable[[int, int], None]) -> list[_Entry]:
        table: list[_Entry] = []
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self._file) as temporary, temporary.open("wb") as output:
            for group, audio in self._tracks(recordings, on_progress):
                output.write(audio.tobytes())
                table.append((group, audio.shape[1], zlib.crc32(audio.data)))
            if not table:
                raise AudioError(f"none of {len(recordings)} recordings can be read" if recordings else "no recordings")
        with replacing(self._table) as temporary:
            temporary.write_text(json.dumps(table), encoding="utf-8")
        return table

    def _tracks(self, recordings: list[Recording], on_progress: Callable[[int, int], None]) -> Iterator[tuple[str, Audio]]:
        done = itertools.count(1)
        groups: defaultdict[str, list[Path]] = defaultdict(list)
        for recording in recordings:
            groups[recording.group].append(recording.path)
        for group, paths in groups.items():
            short: list[Audio] = []
            for path in paths:
                try:
                    audio = self._converted(*decode(path))
                except AudioError as error:
                    warnings.warn(f"left out: {error}", stacklevel=2)
                    continue
                finally:
                    on_progress(next(done), len(recordings))
                if audio.shape[1] >= SHORT * self.sample_rate:
                    yield group, audio
                else:
                    short.append(audio)
            if short:
                yield group, np.concatenate(short, axis=1)

    def _converted(self, audio: Audio, rate: float) -> Audio:
        if audio.shape[0] != self.channels:
            if self.channels == 1:
                audio = audio.mean(axis=0, keepdims=True)
            else:
                audio = audio[np.arange(self.channels) % audio.shape[0]]
        if rate != self.sample_rate:
            audio = audio_files.resample(audio, rate, self.sample_rate)
        return np.ascontiguousarray(audio, np.float32)


def is_decoded(recordings: list[Recording], sample_rate: float, channels: int = 1) -> bool:
    """Whether `Tracks` of these are in the cache."""
    cache, key = cache_folder("decoded"), _key(recordings, sample_rate, channels)
    return _table_of(cache / f"{key}.json", cache / f"{key}.f32", channels) is not None


def _key(recordings: list[Recording], sample_rate: float, channels: int) -> str:
    """Changes when a file changes."""
    try:
        states = [(str(r.path.absolute()), r.group, (s := r.path.stat()).st_size, s.st_mtime_ns) for r in recordings]
    except OSError as error:
        raise AudioError(f"{error.filename}: {error.strerror}") from error
    return digest(repr((states, float(sample_rate), channels, SHORT)))


def _table_of(path: Path, file: Path, channels: int) -> list[_Entry] | None:
    """The entry of each track; None unless the file exists and has this length."""
    try:
        table = [(str(group), int(length), int(checksum)) for group, length, checksum in json.loads(path.read_text("utf-8"))]
        expected = sum(length for _, length, _ in table) * channels * np.dtype(np.float32).itemsize
        return table if file.stat().st_size == expected else None
    except (OSError, ValueError, TypeError):
        return None
