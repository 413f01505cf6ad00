"""Excerpts are loud in both halves, and come from anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox_grad import audio_files
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.data import excerpts
from blackbox_grad_adapters.style_matching.data.recordings import Tracks, in_folder

RATE = 8000.0


@pytest.fixture
def with_pauses(tmp_path):
    """Two seconds of guitar, a pause of the same length, and the guitar backwards."""
    audio, rate = audio_files.example()
    played = audio_files.resample(audio[:1], rate, RATE)[:, : int(2 * RATE)]
    pause = np.zeros_like(played)
    audio_files.write(tmp_path / "paused.wav", np.concatenate([played, pause, played[:, ::-1], pause], axis=1), RATE)
    return Tracks(in_folder(tmp_path), RATE, folder=tmp_path / "cache")


def test_excerpts_come_from_all_loud_places_and_no_quiet_one(with_pauses):
    rng, length = np.random.default_rng(0), 2000
    (whole,) = with_pauses[0]
    seconds = set()
    for _ in range(60):
        excerpt = excerpts.draw(with_pauses, length, rng)
        assert excerpt.shape == (1, length)
        assert min(np.mean(np.square(half)) for half in np.split(excerpt, 2, axis=1)) >= 1e-4
        loudest = int(np.abs(excerpt).argmax())
        starts = np.flatnonzero(whole == excerpt[0, loudest]) - loudest
        (start, *_) = (s for s in starts if s >= 0 and np.array_equal(whole[s : s + length], excerpt[0]))
        seconds.add(int(start / RATE))
    assert {0, 1, 4, 5} <= seconds
    assert not {2, 6, 7} & seconds  # the pauses


def test_what_cannot_be_drawn_is_named(with_pauses, tmp_path):
    with pytest.raises(AudioError, match=r"an excerpt: 10\.0 s, and the longest has 8\.0 s"):
        excerpts.draw(with_pauses, int(10 * RATE), np.random.default_rng(0))
    audio_files.write(tmp_path / "paused.wav", with_pauses[0] / 1000, RATE)
    with pytest.raises(AudioError, match="all quieter than -40 dBFS"):
        excerpts.draw(Tracks(in_folder(tmp_path), RATE, folder=tmp_path), 2000, np.random.default_rng(0))
