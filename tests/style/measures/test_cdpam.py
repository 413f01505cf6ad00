"""CDPAM: its own network's distances, and nothing but numbers out of its file."""

import pickle

import pytest
import torch

from blackbox_grad import audio_files
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad_adapters.style_matching.measures import cdpam as measure


@pytest.fixture(scope="module")
def judge():
    with pytest.warns(UserWarning, match="is a pickle"):
        return measure.CDPAM()


@pytest.fixture(scope="module")
def dry():
    """`[1, 2, 3600]`: little, since the network is slow."""
    audio, rate = audio_files.example()
    return torch.from_numpy(audio_files.resample(audio[:, : round(rate)], rate, 24_000)[:, 6000:9600].copy())[None]


def test_equal_sounds_are_at_0_at_any_level_and_others_are_not(judge, dry):
    found = judge.embed(torch.cat([dry, 0.3 * dry, torch.tanh(20 * dry), 0.5 * dry + 0.05 * torch.randn(dry.shape)]), 24_000)
    distance = judge.between(found, found[:1])
    assert distance[0] == 0
    assert distance[1] == pytest.approx(0.0, abs=1e-3)  # samples of 16 bits
    assert (distance[2:] > 10 * distance[1].clamp_min(1e-4)).all()
    assert torch.isfinite(judge.embed(torch.zeros_like(dry), 24_000)).all()


def test_the_short_way_through_the_encoder_is_the_encoder(judge, dry):
    encoder = judge._network.base_encoder
    for length in (2000, 2047):
        x = 1000 * dry[:, :1, :length]
        with torch.no_grad():
            torch.testing.assert_close(measure._encoded(encoder, x), encoder(x)[0])


def test_a_file_that_asks_for_code_is_refused(tmp_path):
    class Code:
        def __reduce__(self):
            return print, ("I ran",)

    file = tmp_path / "weights.pth"
    torch.save({"state": Code()}, file, _use_new_zipfile_serialization=False)
    with pytest.raises(BlackboxGradError, match="it is refused"):
        measure._weights(file)
    file.write_bytes(pickle.dumps(Code()))
    with pytest.raises(BlackboxGradError, match="it is refused"):
        measure._weights(file)
