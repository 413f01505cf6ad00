"""Recordings: their groups, and their decoding."""

from __future__ import annotations

import pickle
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox_grad import audio_files
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.data import recordings
from blackbox_grad_adapters.style_matching.data.recordings import Recording, Tracks, in_folder, split

RATE = 8000.0


def guitar(seconds=1.0, rate=RATE, channels=1):
    audio, own = audio_files.example()
    return audio_files.resample(audio[:channels], own, rate)[:, : round(seconds * rate)]


@pytest.fixture
def library(tmp_path):
    """Two speakers in subfolders, each with short clips, and one long recording."""
    folder = tmp_path / "library"
    for speaker, clips in {"ada": 3, "bob": 2}.items():
        (folder / speaker).mkdir(parents=True)
        for clip in range(clips):
            audio_files.write(folder / speaker / f"{clip}.wav", guitar(1 + clip / 2), RATE)
    audio_files.write(folder / "long.flac", np.tile(guitar(4, 22_050, 2), 3), 22_050)
    (folder / "notes.txt").write_text("not audio")
    return folder


def opened(found, folder, **options):
    return Tracks(found, RATE, folder=folder, **options)


def test_files_in_a_subfolder_are_one_group(library):
    groups = {f"{r.path.parent.name}/{r.path.name}": r.group for r in in_folder(library)}
    assert groups == {
        "ada/0.wav": "ada", "ada/1.wav": "ada", "ada/2.wav": "ada", "bob/0.wav": "bob", "bob/1.wav": "bob",
        "library/long.flac": "long",
    }  # fmt: skip


def test_a_folder_without_audio_is_named(tmp_path):
    with pytest.raises(AudioError, match=r"no audio in this folder; files of \.wav"):
        in_folder(tmp_path)
    with pytest.raises(AudioError, match="nowhere: no such folder"):
        in_folder(tmp_path / "nowhere")


def test_a_file_that_is_not_there_or_no_audio_is_named(tmp_path):
    with pytest.raises(AudioError, match=r"guitar\.wav: no such file"):
        in_folder(tmp_path / "guitar.wav")
    (tmp_path / "notes.txt").write_text("no audio")
    with pytest.raises(AudioError, match=r"notes\.txt: not read as audio; files of \.wav"):
        in_folder(tmp_path / "notes.txt")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files of different sizes."""
    folder = tmp_path_factory.mktemp("sizes")
    for size in range(20):
        (folder / f"{size}.wav").write_bytes(b"x" * 37 * (size + 1))
    return sorted(folder.iterdir())


@given(groups=st.lists(st.sampled_from("abcdef"), min_size=20, max_size=20), share=st.floats(0, 1), seed=st.integers(0, 99))
def test_a_split_leaves_every_group_on_one_side(files, groups, share, seed):
    found = [Recording(file, group) for file, group in zip(files, groups, strict=True)]
    if len(set(groups)) < 2:
        with pytest.raises(AudioError, match="cannot be split; put each speaker or artist in a subfolder"):
            split(found, share, seed)
        return
    first, second = split(found, share, seed)
    assert not {r.group for r in first} & {r.group for r in second}
    assert first
    assert second
    assert sorted(first + second, key=lambda r: r.path) == found
    size = {side: sum(r.path.stat().st_size for r in members) for side, members in (("all", found), ("second", second))}
    assert len({r.group for r in second}) == 1 or size["second"] <= share * size["all"]
    assert split(found, share, seed) == (first, second)


def test_short_recordings_of_a_group_are_joined_and_long_ones_are_not(library, tmp_path):
    tracks = opened(in_folder(library), tmp_path)
    lengths = {group: track.shape[1] / RATE for group, track in zip(tracks.groups, tracks, strict=True)}
    assert lengths == pytest.approx({"ada": 4.5, "bob": 2.5, "long": 12.0}, abs=0.01)
    assert tracks.seconds == pytest.approx(19.0, abs=0.01)
    np.testing.assert_array_equal(tracks[0][:, : int(RATE)], guitar(1))


@pytest.mark.parametrize("channels", [1, 2])
def test_tracks_have_the_rate_and_channels_that_are_asked_for(library, tmp_path, channels):
    tracks = opened(in_folder(library), tmp_path, channels=channels)
    assert {track.shape[0] for track in tracks} == {channels}
    long = tracks[tracks.groups.index("long")]
    stereo = audio_files.read(library / "long.flac", RATE)[0]
    np.testing.assert_allclose(long, stereo if channels == 2 else stereo.mean(axis=0, keepdims=True), atol=1e-5)
    if channels == 2:
        assert (tracks[0][0] == tracks[0][1]).all()


def test_what_a_lossy_format_decodes_beyond_full_scale_is_kept(tmp_path):
    loud = np.clip(40 * guitar(12, 44_100), -1, 1)
    audio_files.write(tmp_path / "loud.ogg", np.tile(loud, 3), 44_100)
    tracks = Tracks(in_folder(tmp_path), 44_100, folder=tmp_path / "cache")
    assert np.abs(tracks[0]).max() > 1.05


def test_an_unreadable_recording_is_left_out_with_a_warning(library, tmp_path):
    (library / "ada" / "1.wav").write_bytes(b"RIFF, and then nothing")
    with pytest.warns(UserWarning, match=r"left out: .*1\.wav: cannot be read as audio"):
        tracks = opened(in_folder(library), tmp_path)
    assert tracks.lengths[0] == pytest.approx(3 * RATE, abs=2)
    (library / "ada" / "empty.g722").touch()
    for file in library.rglob("*.*"):
        file.write_bytes(b"")
    with pytest.warns(UserWarning, match="left out"), pytest.raises(AudioError, match="none of 7 recordings can be read"):
        opened(in_folder(library), tmp_path)
    with pytest.raises(AudioError, match="no recordings"):
        opened([], tmp_path)


def test_recordings_are_decoded_once_and_again_when_one_changes(library, tmp_path, monkeypatch):
    first = opened(in_folder(library), tmp_path)
    with monkeypatch.context() as patch:
        patch.delattr(recordings, "decode")
        again = opened(in_folder(library), tmp_path)
    np.testing.assert_array_equal(np.concatenate(list(again), axis=1), np.concatenate(list(first), axis=1))
    audio_files.write(library / "bob" / "0.wav", guitar(3), RATE)
    assert opened(in_folder(library), tmp_path).seconds == pytest.approx(first.seconds + 2.0, abs=0.01)


def test_it_is_told_how_many_are_decoded_the_unreadable_too_and_nothing_of_a_cache(library, tmp_path):
    (library / "ada" / "1.wav").write_bytes(b"RIFF, and then nothing")
    told = []
    with pytest.warns(UserWarning, match="left out"):
        opened(in_folder(library), tmp_path, on_progress=lambda *now: told.append(now))
    assert told == [(done, 6) for done in range(1, 7)]
    opened(in_folder(library), tmp_path, on_progress=lambda *now: pytest.fail("it was decoded again"))


def test_a_truncated_cache_is_made_again(library, tmp_path):
    whole = np.concatenate(list(opened(in_folder(library), tmp_path)), axis=1)
    (file,) = tmp_path.glob("*.f32")
    file.write_bytes(file.read_bytes()[:-4])
    np.testing.assert_array_equal(np.concatenate(list(opened(in_folder(library), tmp_path)), axis=1), whole)


def test_tracks_travel_without_their_audio(library, tmp_path):
    tracks = opened(in_folder(library), tmp_path)
    expected = tracks[1].copy()
    luggage = pickle.dumps(tracks)
    assert len(luggage) < 2000
    np.testing.assert_array_equal(pickle.loads(luggage)[1], expected)


def test_a_full_disk_is_named_and_leaves_nothing(library, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recordings.json, "dumps", full)
    with pytest.raises(AudioError, match="No space left on device.; make room there"):
        opened(in_folder(library), tmp_path / "cache")
    assert not list((tmp_path / "cache").glob(".*"))
    monkeypatch.undo()
    assert len(opened(in_folder(library), tmp_path / "cache")) == 3


def test_a_vanished_recording_is_named(library, tmp_path):
    found = in_folder(library)
    shutil.rmtree(library / "ada")
    with pytest.raises(AudioError, match=r"0\.wav: No such file"):
        opened(found, tmp_path)


def test_a_flipped_byte_of_the_cache_is_found_and_decoded_again(library, tmp_path):
    tracks = opened(in_folder(library), tmp_path)
    expected = [track.copy() for track in tracks]
    (cache,) = tmp_path.rglob("*.f32")
    content = bytearray(cache.read_bytes())
    content[len(content) // 2] ^= 1
    cache.write_bytes(content)
    with pytest.raises(AudioError, match=r"damaged; run this again"):
        list(opened(in_folder(library), tmp_path))
    for track, before in zip(opened(in_folder(library), tmp_path), expected, strict=True):
        np.testing.assert_array_equal(track, before)
