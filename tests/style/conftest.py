from __future__ import annotations

import pytest
import torch

from blackbox_grad import audio_files
from blackbox_grad_adapters.style_matching.data.recordings import Tracks, in_folder
from blackbox_grad_adapters.style_matching.effect_path import SAMPLE_RATE


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """The bundled guitar as two recordings in a folder, each at its own rate."""
    folder = tmp_path_factory.mktemp("recordings")
    audio, rate = audio_files.example()
    audio_files.write(folder / "first.wav", audio[:, : audio.shape[1] // 2], rate)
    audio_files.write(folder / "second.flac", audio_files.resample(audio[:1, audio.shape[1] // 2 :], rate, 22050), 22050)
    return folder


@pytest.fixture(scope="session")
def tracks(recordings, tmp_path_factory):
    return Tracks(in_folder(recordings), SAMPLE_RATE, folder=tmp_path_factory.mktemp("decoded"))


@pytest.fixture(scope="session", autouse=True)
def _few_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
