"""The network sets an effect at its own sample rate; the recording is rendered at its own, with the same native values."""

from __future__ import annotations

import pytest

from blackbox_grad import audio_files, load
from blackbox_grad.errors import ParameterError
from blackbox_grad.parameters import setting
from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher
from blackbox_grad_adapters.style_matching.networks.controller import Controller
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder
from blackbox_grad_adapters.style_matching.networks.weight_file import WeightsError

FILTER, NAME = "pedalboard-builtin:LowpassFilter", "cutoff_frequency_hz"


def matcher(middle: float, **header: object) -> StyleMatcher:
    """Of a network that always answers `middle`, normalised at 24 kHz."""
    controller, encoder = Controller(16, 1), Encoder("statistics", 24_000, 22_528, 16)
    controller.head.bias.data.fill_(middle)
    controller.header = {"effect": FILTER, "parameters": [NAME], **header}
    return StyleMatcher(controller, encoder, host="in-process")


@pytest.mark.filterwarnings("ignore:.*sounds different")
def test_a_frequency_is_the_same_at_the_rate_of_the_recording() -> None:
    audio, rate = audio_files.example()
    here = matcher(0.5)
    meant = here.path.effect.parameter_space[0].to_native(0.5)
    for wanted in (16_000, 24_000, 44_100):
        x = audio_files.resample(audio[:, : int(rate)], rate, wanted)
        found = here.match(x, x, wanted, guard=False)
        (row,) = found.to_json()["parameters"]
        assert row["value"] == pytest.approx(meant, rel=1e-4)
        assert found.to_json()["sample_rate"] == found.info.sample_rate == wanted


def test_a_frequency_that_the_recording_cannot_have_is_refused() -> None:
    audio, rate = audio_files.example()
    x = audio_files.resample(audio[:, : int(rate)], rate, 8_000)
    with pytest.raises(ParameterError, match=r"Hz is outside its range 20 to 3600 Hz; .* at 24000 Hz: give it audio"):
        matcher(0.9988).match(x, x, 8_000, guard=False)


@pytest.mark.parametrize("rate", [8_000, 24_000])
def test_the_input_is_returned_where_the_settings_do_no_good_at_any_rate(rate: int) -> None:
    audio, own = audio_files.example()
    x = audio_files.resample(audio[:, : int(own)], own, rate)
    found = matcher(0.05).match(x, x, rate)
    assert found.bypassed
    assert (found.y == x).all()
    assert found.p == pytest.approx([1.0], abs=0.05)


def test_weights_of_another_range_are_refused() -> None:
    with load(FILTER, 24_000) as effect:
        same = setting(effect.parameters[0], 0.5)
    matcher(0.5, ranges=[same])
    with pytest.raises(WeightsError, match="trained with .* from 20 to 5000 Hz, and it goes from 20 Hz to 10800 Hz"):
        matcher(0.5, ranges=[same | {"range": [20.0, 5000.0]}])
    with pytest.raises(WeightsError, match="does not list the ranges"):
        matcher(0.5, ranges=[{"name": NAME}])


def test_the_amount_goes_from_a_filter_that_does_nothing_to_the_settings_found() -> None:
    audio, rate = audio_files.example()
    x = audio_files.resample(audio[:, : int(rate)], rate, 24_000)
    cutoffs = []
    for amount in (0.0, 0.5, 1.0, 1.5):
        found = matcher(0.5).match(x, x, 24_000, amount=amount, guard=False)
        (row,) = found.to_json()["parameters"]
        assert found.to_json()["amount"] == amount
        cutoffs.append(row["normalised"])
    assert cutoffs[::2] == pytest.approx([1.0, 0.5], abs=0.01)
    assert 1.0 > cutoffs[1] > 0.5 > cutoffs[3] >= 0.25 - 0.01
