"""The laws of `StyleEncoder` and of its representation, on bundled recordings."""

from pathlib import Path

import numpy as np
import pytest
import torch

from blackbox_grad import audio_files, load
from blackbox_grad.audio_files import resample
from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching import Encoder, StyleEncoder
from blackbox_grad_adapters.style_matching.data import synthetic
from blackbox_grad_adapters.style_matching.networks.style_encoder import FILE
from blackbox_grad_adapters.style_matching.networks.weight_file import WeightsError
from blackbox_grad_adapters.style_matching.networks.wide_statistics import WideStatistics

RATE, LENGTH = 44_100.0, 122_880


@pytest.fixture(scope="module")
def encoder() -> StyleEncoder:
    torch.manual_seed(0)
    return StyleEncoder().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def guitar() -> torch.Tensor:
    audio, rate = audio_files.example()
    return torch.from_numpy(resample(audio[:1], rate, RATE)[None, :, : 3 * LENGTH // 2]).float()


@pytest.fixture(scope="module")
def wide() -> WideStatistics:
    return WideStatistics(RATE, LENGTH)


def test_the_level_does_not_matter(encoder: StyleEncoder, guitar: torch.Tensor) -> None:
    assert torch.allclose(encoder(guitar), encoder(0.1 * guitar), atol=0.02)


def test_one_channel_is_two_equal_ones_and_embeddings_have_length_one(encoder: StyleEncoder, guitar: torch.Tensor) -> None:
    one, two = encoder(guitar), encoder(guitar.expand(-1, 2, -1))
    assert one.shape == (1, 128)
    assert torch.allclose(one, two, atol=1e-5)
    assert torch.allclose(one.norm(dim=1), torch.ones(1), atol=1e-5)


def test_items_of_a_batch_do_not_matter_to_each_other(encoder: StyleEncoder, guitar: torch.Tensor) -> None:
    backwards = guitar.flip(-1)
    both = encoder(torch.cat([guitar, backwards]))
    assert torch.allclose(both, torch.cat([encoder(guitar), encoder(backwards)]), atol=1e-4)


@pytest.mark.parametrize("rate", [16_000.0, 48_000.0])
def test_any_rate_and_length_is_embedded(encoder: StyleEncoder, guitar: torch.Tensor, rate: float) -> None:
    other = torch.from_numpy(resample(guitar[0, :, :40_000].numpy(), RATE, rate))[None]
    assert torch.isfinite(encoder(other, rate)).all()


def test_an_array_is_as_good_as_a_tensor(encoder: StyleEncoder, guitar: torch.Tensor) -> None:
    torch.testing.assert_close(encoder(guitar.numpy()), encoder(guitar))


def test_silence_has_a_finite_embedding(encoder: StyleEncoder) -> None:
    assert torch.isfinite(encoder(torch.zeros(1, 1, 1000))).all()


def test_quiet_windows_do_not_count(encoder: StyleEncoder, guitar: torch.Tensor) -> None:
    once = guitar[..., :LENGTH]
    followed = torch.cat([once, 1e-4 * torch.randn(1, 1, LENGTH, generator=torch.Generator().manual_seed(0))], dim=2)
    assert torch.allclose(encoder(once), encoder(followed), atol=1e-4)


@pytest.mark.parametrize("audio", [torch.zeros(2, 100), torch.zeros(1, 1, 0), torch.full((1, 1, 100), float("nan"))])
def test_what_is_not_audio_is_refused(encoder: StyleEncoder, audio: torch.Tensor) -> None:
    with pytest.raises(AudioError):
        encoder(audio)


def test_weights_come_back_as_they_were_written(encoder: StyleEncoder, guitar: torch.Tensor, tmp_path: Path) -> None:
    encoder.save(tmp_path / "one.safetensors", {"effects": ["a"]})
    read = StyleEncoder.load(tmp_path / "one.safetensors")
    assert read.header["effects"] == ["a"]
    assert read.fingerprint == encoder.fingerprint
    assert torch.allclose(read(guitar), encoder(guitar), atol=0.02)  # half precision
    with pytest.raises(WeightsError, match="'style encoder'; it must be 'encoder'"):
        Encoder.load(tmp_path / "one.safetensors")


def test_it_hears_above_what_24_khz_can_hold(wide: WideStatistics) -> None:
    noise = torch.randn(1, 1, LENGTH, generator=torch.Generator().manual_seed(1)).expand(-1, 2, -1)
    spectrum = torch.fft.rfft(noise)
    hz = torch.fft.rfftfreq(LENGTH, 1 / RATE)
    darker = torch.fft.irfft(torch.where((hz > 14_000) & (hz < 19_000), 0.1, 1.0) * spectrum, LENGTH)
    assert (wide(noise) - wide(darker)).abs().max() > 0.5


def test_it_hears_which_side_and_how_wide(wide: WideStatistics, guitar: torch.Tensor) -> None:
    x = guitar[..., :LENGTH].expand(-1, 2, -1)
    panned = x * torch.tensor([1.0, 0.2])[:, None]
    late = torch.stack([x[:, 0], x[:, 1].roll(400)], dim=1)
    same, other, wider = (wide(audio)[0, -wide.stereo :] for audio in (x, panned, late))
    assert (same - other).abs().max() > 0.5
    assert (same - wider).abs().max() > 0.5


def test_an_echo_is_in_the_envelopes(wide: WideStatistics) -> None:
    """Bursts at random times, repeated after 0.25 s: there, their autocorrelation grows most."""
    rng = np.random.default_rng(0)
    x = np.zeros(LENGTH)
    x[rng.integers(0, LENGTH, 12)] = 1.0
    x = np.convolve(x, rng.normal(size=400) * np.exp(-np.arange(400) / 80))[:LENGTH]
    late = int(0.25 * RATE)
    echoed = x + 0.7 * np.concatenate([np.zeros(late), x[:-late]])

    def lags(audio: np.ndarray) -> torch.Tensor:
        middle = torch.from_numpy(audio / audio.std()).float()[None]
        found: torch.Tensor = wide._envelopes(middle)[1].unflatten(1, (-1, wide.ENVELOPES + 1))[0, :, -1]
        return found

    low, high = wide._lags[int((lags(echoed) - lags(x)).argmax())]
    assert low - 1 <= late / wide.FINE_HOP <= high + 1


def test_the_weights_of_the_package_are_small_and_know_an_effect_in_another_recording(guitar: torch.Tensor) -> None:
    assert FILE.stat().st_size <= 8_000_000
    encoder = StyleEncoder.load()
    chords = synthetic.draw(LENGTH, RATE, np.random.default_rng(4))
    recordings = [0.25 * guitar[0, :, :LENGTH].numpy() / float(guitar.abs().max()), 0.25 * chords]
    effects = {
        "Distortion": {"drive_db": "35dB"},
        "Reverb": {"room_size": 0.9, "wet_level": 0.8},
        "LowpassFilter": {"cutoff_frequency_hz": "500Hz"},
        "Bitcrush": {"bit_depth": 0.1},
    }
    rendered = []
    for name, settings in effects.items():
        effect = load(f"pedalboard-builtin:{name}", sample_rate=RATE)
        rendered += [effect.render(np.repeat(x, 2, axis=0), effect.parameters.point(settings)) for x in recordings]
    z = encoder(torch.from_numpy(np.stack(rendered))).unflatten(0, (len(effects), 2))
    similarity = z[:, 0] @ z[:, 1].T
    same = similarity.diagonal().mean()
    other = (similarity.sum() - similarity.diagonal().sum()) / (len(effects) * (len(effects) - 1))
    assert same > other + 0.25
