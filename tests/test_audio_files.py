"""Audio files: reading returns what was written, and errors say what cannot be read or written."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile

from blackbox_grad import audio_files, audio_formats, files
from blackbox_grad.audio_formats import FLAC, FLAC_16, MP3, VORBIS, WAV, AudioFormat
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
    with pytest.raises(AudioError, match=r"FLAC holds 1 to 8 channels, not 12; write a \.wav"):
        audio_files.write(path, noise(channels=12), 44100)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


#: Format -> what it holds at its limits, and what it does not hold just beyond them: channels and Hz.
LIMITS: dict[AudioFormat, tuple[list[tuple[int, int]], list[tuple[int, int]]]] = {
    WAV: ([(1, 1), (1, 384_000), (1, 10_000_000), (1024, 8000)], [(1025, 8000)]),
    FLAC: (
        [(1, 1), (8, 44100), (1, 65_535), (1, 65_540), (2, 384_000), (1, 655_350)],
        [(9, 44100), (1, 65_537), (1, 192_001), (1, 655_360), (1, 10_000_000)],
    ),
    FLAC_16: ([(8, 655_350)], [(9, 44100), (1, 655_360)]),
    VORBIS: ([(1, 1), (2, 192_000), (1, 200_000), (255, 8000), (6, 200_000)], [(256, 8000), (1, 200_001), (2, 384_000)]),
    MP3: ([(1, 8000), (2, 48000), (2, 11025)], [(3, 44100), (1, 44000), (2, 96000), (1, 7999)]),
}


@pytest.mark.parametrize("kind", LIMITS, ids=lambda kind: f"{kind.name}-{kind.subtype}")
def test_a_format_holds_what_lies_within_its_limits_and_refuses_the_rest(kind: AudioFormat) -> None:
    """In a process of its own: beyond some limits, libsndfile crashes."""
    holds, refuses = LIMITS[kind]
    code = (
        "import sys, io, numpy as np, soundfile\n"
        "from blackbox_grad import audio_files, audio_formats\n"
        f"kind = audio_formats.{ {WAV: 'WAV', FLAC: 'FLAC', FLAC_16: 'FLAC_16', VORBIS: 'VORBIS', MP3: 'MP3'}[kind] }\n"
        f"for channels, rate in {holds}:\n"
        "    audio = np.random.default_rng(0).uniform(-0.1, 0.1, (channels, 3000)).astype(np.float32)\n"
        "    content = audio_files.encoded(audio, rate, kind)\n"
        "    read, found = soundfile.read(io.BytesIO(content), always_2d=True)\n"
        "    assert found == rate and read.shape == (3000, channels), (channels, rate, found, read.shape)\n"
        "    assert 0.05 < abs(read).max() < 0.2\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    for channels, rate in refuses:
        assert kind.trouble(channels, rate), (channels, rate)
        with pytest.raises(AudioError, match=kind.name):
            audio_files.encoded(noise(channels, 100), rate, kind)


def test_what_a_format_cannot_hold_is_known_before_the_audio_is_there(tmp_path: Path) -> None:
    for suffix, channels, rate in ((".ogg", 1, 384_000), (".flac", 9, 44100), (".flac", 1, 192_001), (".wav", 1, 44100.5)):
        audio_files.check_written(tmp_path / f"a{suffix}")
        with pytest.raises(AudioError, match=rf"a\{suffix}: .*(Hz|channels)"):
            audio_files.check_written(tmp_path / f"a{suffix}", channels, rate)
        audio_files.check_written(tmp_path / f"a{suffix}", 2, 48000.0)


def test_more_than_a_wav_header_can_announce_is_written_as_rf64(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_files, "WAV_BYTES", 1000)
    for samples, kind in ((250, b"RIFF"), (251, b"RF64")):
        audio_files.write(tmp_path / "a.wav", noise(1, samples), 44100)
        assert (tmp_path / "a.wav").read_bytes()[:4] == kind
        np.testing.assert_array_equal(audio_files.read(tmp_path / "a.wav")[0], noise(1, samples))
    assert 4 * 2**30 - 65536 < audio_formats.WAV_BYTES < 4 * 2**30


# headers that say wrongly how long a recording is

FORMATS = {
    "WAV": "FLOAT", "WAVEX": "PCM_24", "RF64": "PCM_16", "W64": "FLOAT", "AIFF": "PCM_16", "AU": "PCM_16", "CAF": "FLOAT",
    "FLAC": "PCM_16", "OGG": "VORBIS", "MP3": "MPEG_LAYER_III",
}  # fmt: skip

LONG = 60_000


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    """Format -> a file of `LONG` samples."""
    found = {}
    for kind, subtype in FORMATS.items():
        file = io.BytesIO()
        soundfile.write(file, noise(1, LONG)[0], 44100, format=kind, subtype=subtype)
        found[kind] = file.getvalue()
    return found


def announcing(kind: str, content: bytes, samples: int) -> bytes:
    """The file with a header that announces so many samples."""
    width = {"FLOAT": 4, "PCM_24": 3, "PCM_16": 2}[FORMATS[kind]]
    size, end = samples * width, 2**32 - 1
    start = content.find(b"data" if kind != "AIFF" else b"SSND")
    pieces: list[tuple[int, bytes]]
    if kind in ("WAV", "WAVEX"):
        pieces = [(4, struct.pack("<I", min(end, size + 36 if size else 0))), (start + 4, struct.pack("<I", min(end, size)))]
    elif kind == "RF64":
        pieces = [(content.find(b"ds64") + 16, struct.pack("<QQ", size, samples))]
    elif kind == "W64":
        pieces = [(start + 16, struct.pack("<Q", size + 24 if size else 0))]
    elif kind == "AIFF":
        pieces = [
            (start + 4, struct.pack(">I", min(end, size))),
            (content.find(b"COMM") + 10, struct.pack(">I", samples & end)),
        ]
    elif kind == "AU":
        pieces = [(8, struct.pack(">I", min(end, size)))]
    elif kind == "CAF":
        pieces = [(start + 4, struct.pack(">Q", size))]
    else:  # FLAC: 36 bits
        pieces = [(21, bytes([content[21] & 0xF0 | samples >> 32]) + struct.pack(">I", samples & end))]
    for place, piece in pieces:
        content = content[:place] + piece + content[place + len(piece) :]
    return content


def lax_read(path: Path) -> tuple[np.ndarray, str]:
    """The audio, and the warning."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        audio, rate = audio_files.read(path)
    assert rate == 44100
    assert len(said) <= 1
    return audio, "".join(str(one.message) for one in said)


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind not in ("OGG", "MP3")])
@pytest.mark.parametrize("samples", [0, 5_000_000_000])
def test_a_length_that_a_header_invents_is_not_believed(
    tmp_path: Path, contents: dict[str, bytes], kind: str, samples: int
) -> None:
    """A recorder that died leaves 0. More than the file holds is not reserved in memory."""
    content = announcing(kind, contents[kind], samples)
    (tmp_path / "a.bin").write_bytes(content)
    audio, _ = lax_read(tmp_path / "a.bin")
    expected = soundfile.read(io.BytesIO(contents[kind]), dtype="float32")[0]
    assert audio.shape[1] - LONG in (0, 1)  # a byte of padding may look like audio
    np.testing.assert_array_equal(audio[0, :LONG], expected)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_what_is_left_of_a_file_is_read_with_a_warning(
    tmp_path: Path, contents: dict[str, bytes], kind: str, share: float
) -> None:
    content = contents[kind]
    (tmp_path / "whole.bin").write_bytes(content)
    assert lax_read(tmp_path / "whole.bin")[1] == ""
    (tmp_path / "a.bin").write_bytes(content[: int(share * len(content))])
    audio, said = lax_read(tmp_path / "a.bin")
    assert said.startswith(f"{tmp_path / 'a.bin'} is cut off") or "is damaged after" in said or "was not closed" in said
    assert 0.5 * share * LONG < audio.shape[1] < LONG
    expected = soundfile.read(io.BytesIO(content), dtype="float32")[0]
    if kind != "MP3":  # whose decoder starts from its neighbours
        np.testing.assert_array_equal(audio[0], expected[: audio.shape[1]])


def test_a_recording_that_really_is_empty_stays_empty(tmp_path: Path, contents: dict[str, bytes]) -> None:
    head = contents["WAV"][: contents["WAV"].index(b"data") + 8]
    (tmp_path / "a.wav").write_bytes(head[:-4] + bytes(4) + b"LIST" + struct.pack("<I", 4) + b"INFO")
    with pytest.raises(AudioError, match="holds no samples"):
        audio_files.read(tmp_path / "a.wav")


def test_a_file_without_a_header_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(noise().tobytes())
    with pytest.raises(AudioError, match=r"a\.raw: cannot be read as audio"):
        audio_files.read(tmp_path / "a.raw")


# names and kinds of files


@pytest.mark.parametrize("name", ["ÿ и 音.wav", os.fsdecode(b"caf\xe9.wav"), "a b|c#d:e=f.wav", "-o.wav", "line\nbreak.wav"])
def test_any_name_of_a_file_will_do(tmp_path: Path, name: str) -> None:
    for suffix in audio_files.WRITTEN:
        path = (tmp_path / name).with_suffix(suffix)
        audio_files.write(path, noise(), 44100)
        assert audio_files.read(path)[0].shape == (2, 4410)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_a_pipe_is_read_to_its_end(tmp_path: Path, contents: dict[str, bytes]) -> None:
    for kind in ("WAV", "FLAC", "OGG", "MP3"):
        os.mkfifo(tmp_path / kind)
        writer = threading.Thread(target=(tmp_path / kind).write_bytes, args=(contents[kind],))
        writer.start()
        audio, _ = audio_files.read(tmp_path / kind)
        writer.join()
        assert audio.shape == (1, LONG)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with a name")
def test_a_pipe_without_another_end_says_what_it_waits_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PATIENCE", 0.01)
    audio, pipe, seen = noise(), tmp_path / "a.wav", []
    content = bytes(audio_files.encoded(audio, 44100, WAV))
    os.mkfifo(pipe)

    def other_end() -> None:
        for number, use in enumerate((lambda: pipe.write_bytes(content), pipe.read_bytes), 1):
            while len(said) < number:
                time.sleep(0.01)
            seen.append(use())

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        other = threading.Thread(target=other_end)
        other.start()
        read, _ = audio_files.read(pipe)
        audio_files.write(pipe, audio, 44100)
        other.join()
    np.testing.assert_array_equal(read, audio)
    # but for the second in which each was written, which a WAV file of floats holds
    assert len(seen[1]) == len(content)
    (tmp_path / "copy.wav").write_bytes(seen[1])
    np.testing.assert_array_equal(audio_files.read(tmp_path / "copy.wav")[0], audio)
    waited = f"{pipe} is a pipe: waiting for a program that"
    assert [str(one.message) for one in said[:2]] == [f"{waited} writes into it", f"{waited} reads from it"]


def test_an_output_without_a_suffix_on_a_device_is_refused_with_a_way_out() -> None:
    with pytest.raises(AudioError, match=r"^/dev/stdout: its name does not tell the format; name .* `mkfifo out\.wav`"):
        audio_files.check_written("/dev/stdout")


@pytest.mark.parametrize("device", [path for path in ("/dev/zero", "/dev/null", "/dev/full") if Path(path).exists()])
def test_a_device_is_no_audio_file(device: str) -> None:
    with pytest.raises(AudioError, match="is a device"):
        audio_files.read(device)
