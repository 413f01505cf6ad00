"""Reading and writing audio files: WAV, FLAC and Ogg Vorbis, any sample rate and channel count."""

from __future__ import annotations

import importlib.resources
import io
import os
import re
import warnings
from pathlib import Path

import numpy as np

from blackbox_grad.dependencies import library
from blackbox_grad.effects.audio import Audio, check_audio
from blackbox_grad.errors import AudioError, suggest
from blackbox_grad.files import check_writable, replacing

#: suffix -> format and sample type of libsndfile
WRITTEN = {".wav": ("WAV", "FLOAT"), ".flac": ("FLAC", "PCM_24"), ".ogg": ("OGG", "VORBIS")}

#: Frames written at a time: libsndfile's Vorbis encoder overflows its stack on long blocks.
_BLOCK = 1 << 16

#: In libsndfile's log of a WAV file: the bytes that its header announces, and the bytes that the file holds.
_SHORTENED = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)

#: More bytes than this mean "unknown", in files that were written into a pipe.
_UNKNOWN = 0x7FFF0000


def read(path: str | os.PathLike[str], sample_rate: float | None = None) -> tuple[Audio, float]:
    """Read a file, and resample it if a sample rate is given.

    Args:
        path: a file of any format that libsndfile reads: WAV, FLAC, OGG, AIFF, MP3, …
        sample_rate: Hz; the file's own by default.

    Returns:
        audio `[C, T] float32`, full scale ±1, and its sample rate in Hz.

    Raises:
        AudioError: missing, not an audio file, empty, or holding NaN or infinity.

    A WAV file that is shorter than its header says is read as far as it goes, with a warning.
    """
    soundfile = library("soundfile", "reading audio files")
    path = Path(path)
    if not path.exists():
        names = sorted(p.name for p in path.parent.iterdir()) if path.parent.is_dir() else []
        close = suggest(path.name, names).partition("? Known")[0]
        hint = f"; {close}?" if close.startswith("did you mean") else ""
        raise AudioError(f"{path}: no such file{hint}")
    if path.is_dir():
        raise AudioError(f"{path} is a folder; name an audio file")
    try:
        with soundfile.SoundFile(str(path)) as file:
            frames, rate, notes = file.read(dtype="float32", always_2d=True), file.samplerate, file.extra_info
    except PermissionError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror}); check the permissions of the file") from error
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        if not os.access(path, os.R_OK):
            raise AudioError(f"{path}: cannot be read; check the permissions of the file") from error
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        raise AudioError(f"{path}: cannot be read as audio ({reason}); give a WAV, FLAC or OGG file") from error
    audio: Audio = np.ascontiguousarray(frames.T)
    if audio.shape[1] == 0:
        raise AudioError(f"{path}: holds no samples")
    if not np.isfinite(audio).all():
        raise AudioError(f"{path}: holds NaN or infinity; render or export it again")
    shortened = _SHORTENED.search(notes)
    if shortened and int(shortened[2]) < int(shortened[1]) < _UNKNOWN:
        share = int(shortened[2]) / int(shortened[1])
        warnings.warn(
            f"{path} is cut off: it holds {share:.0%} of the audio that its header announces; only that part is used",
            stacklevel=2,
        )
    if sample_rate is not None and sample_rate != rate:
        return resample(audio, rate, sample_rate), float(sample_rate)
    return audio, float(rate)


def resample(audio: Audio, old: float, new: float) -> Audio:
    """`[C, T]` at `old` Hz -> `[C, T·new/old]` at `new` Hz, in soxr's high quality."""
    soxr = library("soxr", "resampling audio")
    return np.ascontiguousarray(soxr.resample(check_audio(audio).T, old, new, quality="HQ").T, dtype=np.float32)


def write(path: str | os.PathLike[str], audio: Audio, sample_rate: float) -> None:
    """Write a file whole or not at all: it appears, or replaces an older file, when everything is written.

    Args:
        path: `.wav` (float32, keeps values beyond ±1), `.flac` (24 bit, clips at ±1) or `.ogg` (Vorbis).
        audio: `[C, T] float32`.
        sample_rate: Hz, a whole number.

    Raises:
        AudioError: unknown suffix, unwritable path, or audio that the format cannot hold.
    """
    soundfile = library("soundfile", "writing audio files")
    path = Path(path)
    check_writable(path, WRITTEN)
    kind, subtype = WRITTEN[path.suffix.lower()]
    audio = check_audio(audio)
    if not np.isfinite(audio).all():
        raise AudioError(f"{path}: a file cannot hold audio with NaN or infinity; clean it first")
    if sample_rate != round(sample_rate) or sample_rate < 1:
        raise AudioError(f"{path}: a file needs a sample rate of whole Hz, got {sample_rate:g}")
    content = io.BytesIO()  # libsndfile does not report a full disk, and leaves part of an .ogg file
    try:
        options = {"samplerate": round(sample_rate), "channels": audio.shape[0], "format": kind, "subtype": subtype}
        with soundfile.SoundFile(content, "w", **options) as file:
            for start in range(0, audio.shape[1], _BLOCK):
                file.write(np.ascontiguousarray(audio[:, start : start + _BLOCK].T))
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        what = f"{audio.shape[0]} channels at {sample_rate:g} Hz"
        raise AudioError(f"{path}: {what} cannot be written as {kind} ({reason})") from error
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def peak_decibels(audio: Audio) -> float:
    """Level of the largest sample, dB relative to full scale. Above 0, formats other than float clip."""
    peak = float(np.abs(audio).max(initial=0.0))
    return 20.0 * float(np.log10(max(peak, 1e-10)))


def example() -> tuple[Audio, float]:
    """The bundled recording, an electric guitar (CC0): audio `[2, 220500] float32` and 44100 Hz."""
    with importlib.resources.as_file(importlib.resources.files("blackbox_grad") / "data" / "guitar.flac") as path:
        return read(path)
