"""Audio files: reading returns what was written, and errors say what cannot be read or written."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blackbox_grad import audio_files
from blackbox_grad.errors import AudioError


def noise(channels: int = 2, samples: int = 4410, level: float = 0.1) -> np.ndarray:
    return (np.random.default_rng(0).standard_normal((channels, samples)) * level).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize(("suffix", "tolerance"), [(".wav", 0.0), (".flac", 2**-23)])
def test_a_written_file_is_read_again(tmp_path: Path, channels: int, suffix: str, tolerance: float) -> None:
    audio = noise(channels)
    audio_files.write(tmp_path / f"a{suffix}", audio, 48000)
    read, rate = audio_files.read(tmp_path / f"a{suffix}")
    assert (rate, read.dtype, read.shape) == (48000, np.float32, audio.shape)
    assert np.abs(read - audio).max() <= tolerance


def test_the_format_follows_the_suffix(tmp_path: Path) -> None:
    for suffix in audio_files.WRITTEN:
        audio_files.write(tmp_path / f"a{suffix.upper()}", noise(), 44100)
    kinds = {p.suffix.lower(): (i := soundfile.info(str(p))).format + " " + i.subtype for p in tmp_path.iterdir()}
    assert kinds == {".wav": "WAV FLOAT", ".flac": "FLAC PCM_24", ".ogg": "OGG VORBIS"}


def test_long_vorbis_is_written(tmp_path: Path) -> None:
    """In one block, the encoder of libsndfile overflows the stack and takes the process with it."""
    audio = np.zeros((2, 6_000_000), np.float32)
    audio_files.write(tmp_path / "long.ogg", audio, 44100)
    assert soundfile.info(str(tmp_path / "long.ogg")).frames == audio.shape[1]


def test_wav_keeps_what_lies_beyond_full_scale(tmp_path: Path) -> None:
    audio_files.write(tmp_path / "loud.wav", np.full((1, 10), 2.0, np.float32), 44100)
    assert audio_files.read(tmp_path / "loud.wav")[0].max() == 2.0


def test_resampling_keeps_a_sine(tmp_path: Path) -> None:
    seconds = np.arange(48000) / 48000
    audio_files.write(tmp_path / "sine.wav", np.sin(2 * np.pi * 440 * seconds)[None].astype(np.float32), 48000)
    audio, rate = audio_files.read(tmp_path / "sine.wav", sample_rate=44100)
    assert (rate, audio.shape) == (44100, (1, 44100))
    expected = np.sin(2 * np.pi * 440 * np.arange(44100) / 44100)
    assert np.abs(audio[0] - expected)[500:-500].max() < 1e-3


def test_the_example_is_a_short_stereo_recording() -> None:
    audio, rate = audio_files.example()
    assert (audio.shape, rate) == ((2, 220500), 44100)
    assert 0.3 < np.abs(audio).max() < 1.0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.wav", None, "no such file"),
        ("text.wav", b"this is not audio\n" * 20, "cannot be read as audio"),
        ("empty.wav", b"", "cannot be read as audio"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(AudioError, match=f"{name}: {message}"):
        audio_files.read(tmp_path / name)


def test_a_file_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(str(tmp_path / "none.wav"), np.zeros((0, 2)), 44100)
    with pytest.raises(AudioError, match="holds no samples"):
        audio_files.read(tmp_path / "none.wav")


def test_a_file_with_nan_is_refused(tmp_path: Path) -> None:
    soundfile.write(str(tmp_path / "nan.wav"), np.full((10, 1), np.nan), 44100, subtype="FLOAT")
    with pytest.raises(AudioError, match="holds NaN"):
        audio_files.read(tmp_path / "nan.wav")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="is a folder"):
        audio_files.read(tmp_path)
    (tmp_path / "a.wav").mkdir()
    with pytest.raises(AudioError, match="is a folder"):
        audio_files.write(tmp_path / "a.wav", noise(), 44100)


def test_a_misspelt_name_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "guitar.wav").touch()
    with pytest.raises(AudioError, match=r"guitr.wav: no such file; did you mean 'guitar.wav'\?"):
        audio_files.read(tmp_path / "guitr.wav")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a.xyz", r"suffix \.xyz is unknown; allowed are \.wav"),
        ("a", r"suffix \(none\)"),
        ("no/a.wav", "does not exist"),
        (f"{__file__}/a.wav", "is not a folder"),
        ("a" * 300 + ".wav", "cannot be written .File name too long"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path: Path, path: str, message: str) -> None:
    with pytest.raises(AudioError, match=message):
        audio_files.write(tmp_path / path, noise(), 44100)
    assert list(tmp_path.iterdir()) == []


def test_a_cut_off_file_is_read_as_far_as_it_goes_with_a_warning(tmp_path: Path) -> None:
    audio_files.write(tmp_path / "a.wav", noise(1, 1000), 44100)
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "a.wav").write_bytes(whole[:-2000])
    with pytest.warns(UserWarning, match=r"a\.wav is cut off: it holds 50% of the audio"):
        audio, _ = audio_files.read(tmp_path / "a.wav")
    np.testing.assert_array_equal(audio, noise(1, 1000)[:, :500])
    size = whole.index(b"data") + 4
    (tmp_path / "a.wav").write_bytes(whole[:size] + b"\xff" * 4 + whole[size + 4 :])  # as written into a pipe: length unknown
    assert audio_files.read(tmp_path / "a.wav")[0].shape == (1, 1000)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("suffix", audio_files.WRITTEN)
def test_a_full_disk_is_named(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.symlink_to("/dev/full")
    with pytest.raises(AudioError, match=rf"a\{suffix}: cannot be written \(No space left on device\)"):
        audio_files.write(path, noise(), 44100)
    assert list(tmp_path.iterdir()) == [path]
    assert Path("/dev/full").is_char_device(), "a device is written to, not replaced"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.wav").symlink_to("real.wav")
    audio_files.write(tmp_path / "link.wav", noise(), 44100)
    assert (tmp_path / "link.wav").is_symlink()
    assert audio_files.read(tmp_path / "real.wav")[0].shape == (2, 4410)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_protected_folder_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(AudioError, match="cannot be written to; check its permissions"):
            audio_files.write(tmp_path / "a.wav", noise(), 44100)
    finally:
        tmp_path.chmod(0o700)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    audio_files.write(path, noise(), 44100)
    before = path.read_bytes()
    with pytest.raises(AudioError, match="12 channels at 44100 Hz cannot be written as FLAC"):
        audio_files.write(path, noise(channels=12), 44100)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
