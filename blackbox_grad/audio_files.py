"""Reading and writing audio files: WAV, FLAC and Ogg Vorbis, any sample rate and channel count."""

from __future__ import annotations

import importlib.resources
import io
import os
import stat
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np

from blackbox_grad.audio_formats import FLAC, VORBIS, WAV, WAV_BYTES, AudioFormat
from blackbox_grad.audio_formats import MP3 as MP3
from blackbox_grad.audio_headers import InMemory, ends, held, mended
from blackbox_grad.dependencies import library
from blackbox_grad.effects.audio import Audio, check_audio
from blackbox_grad.errors import AudioError, suggest
from blackbox_grad.files import check_writable, pipe_awaited, replacing

#: suffix -> format of the files that are written
WRITTEN = {".wav": WAV, ".flac": FLAC, ".ogg": VORBIS}

#: Frames written at a time: libsndfile's Vorbis encoder overflows its stack on long blocks.
_BLOCK = 1 << 16

#: Frames read at a time: where a file is damaged, the block is lost.
_READ = 1 << 12

#: Bytes read from a pipe at most.
_MOST_PIPED = 1 << 32

#: A length that an MP3's header only estimates may be off by this share.
_ESTIMATED = 0.05


def read(path: str | os.PathLike[str], sample_rate: float | None = None) -> tuple[Audio, float]:
    """Read a file, and resample it if a sample rate is given.

    Args:
        path: a file of any format that libsndfile reads (WAV, FLAC, OGG, AIFF, MP3, …), or a pipe (`/dev/stdin`).
        sample_rate: Hz; the file's own by default.

    Returns:
        audio `[C, T] float32`, full scale ±1, and its sample rate in Hz.

    Raises:
        AudioError: missing, not an audio file, empty, or holding NaN or infinity.

    A file that is cut off, damaged, or whose recorder died before it wrote the length, is read as far as it goes, with a warning.
    """
    path = Path(path)
    if not path.exists():
        names = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        close = suggest(path.name, names).partition("? Known")[0]
        hint = f"; {close}?" if close.startswith("did you mean") else ""
        raise AudioError(f"{path}: no such file{hint}")
    if path.is_dir():
        raise AudioError(f"{path} is a folder; name an audio file")
    try:
        with _opened(path) as file:
            audio, rate, trouble = _decoded(path, file)
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}); check the permissions of the file") from error
    except MemoryError as error:
        raise AudioError(f"{path}: the audio does not fit into memory; cut it into shorter files") from error
    if audio.shape[1] == 0:
        raise AudioError(f"{path}: holds no samples")
    if not np.isfinite(audio).all():
        raise AudioError(f"{path}: holds NaN or infinity; render or export it again")
    if trouble:
        warnings.warn(f"{path} {trouble}", stacklevel=2)
    if sample_rate is not None and sample_rate != rate:
        return resample(audio, rate, sample_rate), float(sample_rate)
    return audio, float(rate)


def _opened(path: Path) -> BinaryIO:
    """The file; what is in a pipe, in memory. A device has no end and is refused."""
    kind = os.stat(path).st_mode
    if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
        raise AudioError(f"{path} is a device and no audio file; name a file or a pipe")
    with pipe_awaited(path, "writes into it"):
        file: BinaryIO = open(path, "rb")  # noqa: SIM115  (the caller closes it)
    if stat.S_ISREG(kind):
        return file
    with file:
        content = file.read(_MOST_PIPED + 1)
    if len(content) > _MOST_PIPED:
        raise AudioError(f"{path}: more than {_MOST_PIPED >> 30} GiB arrive from the pipe; write them into a file")
    return InMemory(content)


def _decoded(path: Path, file: BinaryIO) -> tuple[Audio, int, str]:
    """Audio `[C, T]`, its rate, and what is wrong with the file if something is."""
    soundfile = library("soundfile", "reading audio files")
    copy = mended(file)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    damage = ""
    blocks: list[Audio] = []
    try:
        # by its number, not by its name: libsndfile takes names of another encoding for missing files
        with soundfile.SoundFile(copy or (file if isinstance(file, io.BytesIO) else file.fileno()), closefd=False) as opened:
            decoder, announced, log = opened.format, opened.frames, opened.extra_info
            rate, channels = opened.samplerate, opened.channels
            # its positions are wrong for a length that a header invents; libsndfile's own are not needed
            opened.seekable = lambda: False
            try:
                while not blocks or blocks[-1].shape[0] == _READ:
                    blocks.append(opened.read(_READ, dtype="float32", always_2d=True))
            except soundfile.LibsndfileError as error:
                damage = _reason(error)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise AudioError(f"{path}: cannot be read as audio ({_reason(error)}); give a WAV, FLAC or OGG file") from error
    audio = np.empty((channels, sum(map(len, blocks))), np.float32)
    start = 0
    for block in blocks:
        audio[:, start : start + len(block)] = block.T
        start += len(block)
    length = audio.shape[1]
    if damage and length == 0:
        raise AudioError(f"{path}: cannot be read as audio ({damage}); give a WAV, FLAC or OGG file")
    if damage:
        return audio, rate, f"is damaged after {length / rate:.2f} s ({damage}); only the audio before is used"
    if copy is not None:
        return audio, rate, "was not closed by its recorder: its header does not say how much audio follows; all of it is used"
    share = held(log, size)
    if decoder in ("FLAC", "MP3") and 0 < announced < 2**40:
        share = length / announced
        share = 1.0 if decoder == "MP3" and share > 1.0 - _ESTIMATED else share
    if share < 1.0:
        part = f"{share:.0%}" if share >= 0.01 else "less than 1%"
        return audio, rate, f"is cut off: it holds {part} of the audio that its header announces; only that part is used"
    if decoder == "OGG" and not ends(file):
        return audio, rate, "is cut off: its last page is missing; what is there is used"
    return audio, rate, ""


def _reason(error: Exception) -> str:
    return str(getattr(error, "error_string", error)).strip().rstrip(".") or "damaged"


def resample(audio: Audio, old: float, new: float) -> Audio:
    """`[C, T]` at `old` Hz -> `[C, T·new/old]` at `new` Hz, in soxr's high quality."""
    soxr = library("soxr", "resampling audio")
    return np.ascontiguousarray(soxr.resample(check_audio(audio).T, old, new, quality="HQ").T, dtype=np.float32)


def check_written(path: str | os.PathLike[str], channels: int | None = None, sample_rate: float | None = None) -> None:
    """Raise `AudioError` if `write` could not write such a file. Call it before the work that makes the audio.

    Args:
        channels, sample_rate: of the audio, Hz, as soon as they are known.
    """
    path = Path(path)
    check_writable(path, WRITTEN)
    if channels is not None and sample_rate is not None:
        trouble = WRITTEN[path.suffix.lower()].trouble(channels, sample_rate)
        if trouble:
            raise AudioError(f"{path}: {trouble}" + ("" if path.suffix.lower() == ".wav" else "; write a .wav file"))


def write(path: str | os.PathLike[str], audio: Audio, sample_rate: float) -> None:
    """Write a file whole or not at all: it appears, or replaces an older file, when everything is written.

    Args:
        path: `.wav` (float32, keeps values beyond ±1; as RF64 above 4 GiB), `.flac` (24 bit, clips at ±1) or `.ogg` (Vorbis).
        audio: `[C, T] float32`.
        sample_rate: Hz, a whole number.

    Raises:
        AudioError: unknown suffix, unwritable path, or audio that the format cannot hold.
    """
    path = Path(path)
    audio = check_audio(audio)
    check_written(path, audio.shape[0], sample_rate)
    if not np.isfinite(audio).all():
        raise AudioError(f"{path}: a file cannot hold audio with NaN or infinity; clean it first")
    try:
        content = encoded(audio, sample_rate, WRITTEN[path.suffix.lower()])
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from error
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def encoded(audio: Audio, sample_rate: float, kind: AudioFormat) -> memoryview:
    """The content of a file with `audio: [C, T]`. Raises `AudioError` if the format cannot hold it."""
    soundfile = library("soundfile", "writing audio files")
    if trouble := kind.trouble(audio.shape[0], sample_rate):
        raise AudioError(trouble)
    large = kind.kind == "WAV" and 4 * audio.size > WAV_BYTES
    content = io.BytesIO()  # libsndfile does not report a full disk, and leaves part of an .ogg file
    options = {"samplerate": round(sample_rate), "channels": audio.shape[0], "subtype": kind.subtype}
    try:
        with soundfile.SoundFile(content, "w", format="RF64" if large else kind.kind, **options) as file:
            for start in range(0, audio.shape[1], _BLOCK):
                file.write(np.ascontiguousarray(audio[:, start : start + _BLOCK].T))
    except soundfile.LibsndfileError as error:
        what = f"{audio.shape[0]} channels at {sample_rate:g} Hz"
        raise AudioError(f"{what} cannot be written as {kind.name} ({_reason(error)})") from error
    except MemoryError as error:
        raise AudioError("the audio and its encoding do not fit into memory together; render shorter parts") from error
    return content.getbuffer()


def peak_decibels(audio: Audio) -> float:
    """Level of the largest sample, dB relative to full scale. Above 0, formats other than float clip."""
    peak = float(np.abs(audio).max(initial=0.0))
    return 20.0 * float(np.log10(max(peak, 1e-10)))


def example() -> tuple[Audio, float]:
    """The bundled recording, an electric guitar (CC0): audio `[2, 220500] float32` and 44100 Hz."""
    with importlib.resources.as_file(importlib.resources.files("blackbox_grad") / "data" / "guitar.flac") as path:
        return read(path)
