"""The weights in the package: complete, small, for one encoder, and useful."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox_grad import audio_files, load
from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.style_encoder import StyleEncoder
from blackbox_grad_adapters.style_matching.networks.weight_file import WeightsError, read

EFFECTS = [
    pytest.param(address, id=shipped.file_of(address).stem, marks=[pytest.mark.plugins] * address.startswith("dawdreamer"))
    for address in shipped.EFFECTS
]


def test_weights_are_small():
    controllers = [shipped.file_of(address) for address in shipped.EFFECTS]
    assert sum(file.stat().st_size for file in (shipped.FOLDER / shipped.ENCODER, *controllers)) < 8e6
    assert all(file.stat().st_size < 8e6 for file in shipped.FOLDER.iterdir())


def test_the_encoder_says_how_it_was_made():
    header = shipped.encoder().header
    assert {"effects", "recordings", "seed", "seconds", "versions", "command"} <= header.keys()
    assert {"reconstruction", "divergence"} <= header["results"].keys()


@pytest.mark.parametrize("address", shipped.EFFECTS)
def test_a_controller_says_how_it_was_made_and_helps(address):
    header, _ = read(shipped.file_of(address), "controller")
    assert header["effect"] == address
    assert header["encoder"] == shipped.encoder().fingerprint
    assert {"recordings", "seed", "seconds", "versions", "command", "estimator"} <= header.keys()
    assert header["results"]["ratio"] < 1.0 < 2 * header["results"]["ratio of the middle"]


@pytest.mark.parametrize("address", EFFECTS)
def test_a_match_works_out_of_the_box(address):
    audio, rate = audio_files.example()
    mono = audio_files.resample(audio[:1], rate, 24_000)
    x, other = mono[:, :60_000], mono[:, 60_000:]
    matcher = StyleMatcher.load(address)
    with load(address, 24_000, matcher.path.names) as effect:
        reference = effect.render(other, np.full(matcher.path.size, 0.7))
    found = matcher.match(x, reference, 24_000)
    assert found.y.shape == x.shape
    assert np.isfinite(found.y).all()
    assert set(matcher.path.names) <= found.settings().keys()  # and the switches that were tried


def test_an_encoder_of_either_kind_is_found_by_its_file_and_by_its_folder(tmp_path):
    plain, styles = tmp_path / "plain", tmp_path / "styles"
    plain.mkdir(), styles.mkdir()
    Encoder("statistics", 24_000, 24_576, latent=4).save(plain / shipped.ENCODER, {})
    StyleEncoder(latent=4, widths=(8,), length=36_864).save(styles / shipped.STYLE_ENCODER, {})
    assert isinstance(shipped.ears(), StyleEncoder)
    for place in (plain, plain / shipped.ENCODER):
        assert isinstance(shipped.ears(place), Encoder)
    for place in (styles, styles / shipped.STYLE_ENCODER):
        assert isinstance(shipped.ears(place), StyleEncoder)
    with pytest.raises(WeightsError, match="'controller'; it must be 'encoder' or 'style encoder'"):
        shipped.ears(shipped.file_of(shipped.EFFECTS[0]))
