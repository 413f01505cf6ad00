"""The rule by which audio of any channel count goes through a plug-in with its own, and what side chains take."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import blackbox_grad as bg
from blackbox_grad import errors
from blackbox_grad.effects import PluginEffect


class Mixer(PluginEffect):
    """Output n is the sum of all inputs, input m times `gains[n, m]`: linear, so that the rule can be computed by hand."""

    name, sample_rate = "mixer", 44100.0
    parameters = bg.ParameterSpace([])

    def __init__(self, inputs: int, outputs: int, side_inputs: tuple[int, ...] | None = None) -> None:
        self.inputs, self.outputs, self.side_inputs = inputs, outputs, side_inputs
        self.gains = np.random.default_rng(0).integers(-8, 9, (outputs, inputs)).astype(np.float32)

    def process(self, audio, values):
        assert audio.shape[0] == self.inputs
        return self.gains @ audio


def noise(channels: int, samples: int = 50) -> np.ndarray:
    return np.random.default_rng(channels).integers(-8, 9, (channels, samples)).astype(np.float32)


def by_hand(gains: np.ndarray, audio: np.ndarray) -> np.ndarray:
    """The rule as a matrix: deal the channels to the inputs, mix, deal the outputs to the channels."""
    (outputs, inputs), channels = gains.shape, len(audio)
    if channels > outputs:
        groups = np.split(audio, range(outputs, channels, outputs))
        return np.concatenate([by_hand(gains, group) for group in groups])
    there = np.array(
        [[m % channels == c if inputs >= channels else c % inputs == m for c in range(channels)] for m in range(inputs)]
    )
    back = np.array([[n % channels == c for n in range(outputs)] for c in range(channels)])
    there, back = (matrix / matrix.sum(1, keepdims=True) for matrix in (there, back))
    return back @ gains @ there @ audio


COUNTS = st.sampled_from([1, 2, 3, 4, 6, 8, 64])


@given(COUNTS, COUNTS, COUNTS)
def test_any_channels_fit_any_layout_by_one_rule(channels, inputs, outputs):
    effect = Mixer(inputs, outputs, ())
    x = noise(channels)
    np.testing.assert_allclose(effect.render(x, []), by_hand(effect.gains, x), rtol=1e-4, atol=1e-2)


@given(st.integers(1, 4), st.integers(1, 6))
def test_as_many_channels_as_the_plug_in_has_go_straight_through(count, samples):
    effect = Mixer(count, count)
    x = noise(count, samples)
    np.testing.assert_array_equal(effect.render(x, []), effect.gains @ x)


@pytest.mark.parametrize(
    ("inputs", "outputs", "channels", "heard"),
    [
        (2, 2, 1, ["m(aa)"]),  # doubled, then averaged
        (1, 1, 3, ["a", "b", "c"]),  # one at a time
        (2, 2, 3, ["ab", "ab", "m(cc)"]),  # in pairs
        (1, 2, 2, ["(a+b)/2", "(a+b)/2"]),  # mono in, stereo out
        (2, 4, 2, ["ab", "ab"]),  # a splitter: outputs 1 and 3 on the left, 2 and 4 on the right
    ],
)
def test_the_usual_cases_in_words(inputs, outputs, channels, heard):
    effect = Mixer(inputs, outputs, ())
    x = noise(channels)
    calls = []
    effect.process = lambda audio, values: calls.append(audio) or Mixer.process(effect, audio, values)
    assert len(effect.render(x, [])) == len(heard) == channels
    a, b, c = (x[i % channels] for i in range(3))
    first = {"(a+b)/2": [(a + b) / 2], "a": [a], "ab": [a, b], "m(aa)": [a, a]}[heard[0]]
    np.testing.assert_array_equal(calls[0], first)
    if heard[-1] == "m(cc)":
        np.testing.assert_array_equal(calls[1], [c, c])


@pytest.mark.parametrize(
    ("inputs", "outputs", "sides"), [(2, 1, (1,)), (4, 2, (2, 3)), (3, 2, (2,)), (2, 2, ()), (64, 2, range(2, 64))]
)
def test_inputs_beyond_the_outputs_are_side_chains_unless_the_plug_in_says_which(inputs, outputs, sides):
    assert Mixer(inputs, outputs).sides == tuple(sides)
    assert Mixer(4, 4, (0, 2)).sides == (0, 2)
    assert Mixer(4, 2, ()).sides == ()


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_side_chain_takes_silence(channels):
    effect, x = Mixer(2, 1), noise(channels)
    np.testing.assert_array_equal(effect.render(x, []), effect.gains[0, 0] * x)
    assert effect.layout == "1 in + 1 silent, 1 out"


@pytest.mark.parametrize("samples", [7, 50, 90])
def test_a_side_chain_takes_a_recording_cut_or_followed_by_silence(samples):
    effect, x, key = Mixer(2, 1), noise(1), noise(3, samples)
    effect.sidechain = key
    expected = np.zeros(50, np.float32)
    expected[: min(50, samples)] = key.mean(0)[:50]
    np.testing.assert_allclose(effect.render(x, [])[0], effect.gains[0, 0] * x[0] + effect.gains[0, 1] * expected, atol=1e-3)
    assert effect.layout == "1 in + 1 side chain, 1 out"


def test_a_recording_of_one_channel_goes_to_every_side_chain_wherever_it_lies():
    effect, x = Mixer(4, 2, (0, 2)), noise(2)
    effect.sidechain = key = noise(1)
    np.testing.assert_array_equal(effect.render(x, []), effect.gains @ [key[0], x[0], key[0], x[1]])


def test_a_side_chain_may_take_copies():
    effect, x = Mixer(3, 2), noise(2)
    effect.side_copies = True
    np.testing.assert_allclose(effect.render(x, []), effect.gains @ [x[0], x[1], x.mean(0)], atol=1e-3)
    assert effect.layout == "2 in + 1 copied, 2 out"


def test_a_decoder_is_not_given_as_many_channels_as_it_cannot_return():
    with pytest.raises(errors.AudioError, match="64 channels go into mixer and 2 come out"):
        Mixer(64, 2).render(noise(64), [])
    assert Mixer(64, 2).render(noise(2), []).shape == (2, 50)


def test_samples_in_the_place_of_channels_are_noticed():
    with pytest.raises(errors.AudioError, match=r"audio.T"):
        Mixer(1, 1).render(np.zeros((44100, 2), np.float32), [])


class ReturnsTooFew(Mixer):
    def process(self, audio, values):
        return audio[:1]


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_plug_in_that_returns_other_channels_than_it_says_is_noticed(channels):
    with pytest.raises(errors.RenderError, match=r"returned \(1, 50\)"):
        ReturnsTooFew(2, 2).render(noise(channels), [])
