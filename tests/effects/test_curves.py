"""Settings that move: names, values between knots, and what is refused."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from blackbox_grad import Automated, EffectSpec, chain, load
from blackbox_grad.effects import Curves
from blackbox_grad.errors import EffectLoadError, ParameterError
from blackbox_grad.hosts import ProcessPool
from blackbox_grad.parameters import rows

RATE = 44100.0
SECONDS = 0.5


def ramp(knots: int = 3, **options: Any) -> Automated:
    return Automated("reference:soft-clip", knots, ["Drive"], seconds=SECONDS, **options)


def noise(samples: int = 22050, channels: int = 2) -> np.ndarray:
    return (0.3 * np.random.default_rng(0).standard_normal((channels, samples))).astype(np.float32)


def test_knots_are_parameters_named_by_their_time() -> None:
    with load(ramp()) as effect:
        assert effect.parameters.names == ("Drive @ 0.00 s", "Drive @ 0.25 s", "Drive @ 0.50 s", "Level")
        assert effect.parameters.defaults.tolist() == [0.25, 0.25, 0.25, 0.5]
        controls = rows(effect.parameters)
    assert [(row.name, row.places, row.moves) for row in controls] == [
        ("Drive", slice(0, 3), True),
        ("Level", slice(3, 4), False),
    ]
    with load(ramp(shape="held")) as effect:
        assert effect.parameters.names[:3] == ("Drive @ 0.00 s", "Drive @ 0.17 s", "Drive @ 0.33 s")


def test_close_knots_have_names_of_their_own() -> None:
    with load(Automated("reference:gain", 100, seconds=SECONDS)) as effect:
        assert len(set(effect.parameters.names)) == 100


@pytest.mark.parametrize("shape", ["linear", "held"])
def test_the_sound_is_that_of_the_curve(shape: str) -> None:
    """A gain of 24 dB to each side, against the formula at the beginning of each block."""
    audio, values = noise(), np.array([0.1, 0.9, 0.4])
    with load(Automated("reference:gain", 3, seconds=SECONDS, shape=shape)) as effect:  # type: ignore[arg-type]
        found = effect.render(audio, values)
        assert effect.still is not None
        starts = np.arange(audio.shape[1]) // effect.still.curve_block * effect.still.curve_block / RATE
    expected = (
        np.interp(starts, [0.0, 0.25, 0.5], values) if shape == "linear" else values[np.minimum(2, (starts * 6).astype(int))]
    )
    changes = np.diff(expected) != 0
    decibels = -24.0 + 48.0 * expected
    right = np.isclose(found, audio * 10 ** (decibels / 20), rtol=1e-5).all(axis=0)
    assert changes.any()
    assert right.mean() > 0.99


def test_audio_that_is_longer_keeps_the_last_value_and_shorter_audio_hears_no_later_knot() -> None:
    audio = noise(44100)
    with load(Automated("reference:gain", 2, seconds=SECONDS)) as effect:
        found = effect.render(audio, [0.5, 0.75])
        assert np.allclose(found[:, 22100:], audio[:, 22100:] * 10 ** (12 / 20), rtol=1e-5)
        short = audio[:, : effect.still.curve_block]  # type: ignore[union-attr]
        assert np.array_equal(effect.render(short, [0.5, 0.0]), effect.render(short, [0.5, 1.0]))


def test_switches_move_if_they_are_held() -> None:
    spec = Automated("pedalboard-builtin:LadderFilter", 2, ["mode"], seconds=SECONDS, shape="held")
    with load(spec) as effect:
        names = effect.parameters.names
        assert names == ("cutoff_hz", "resonance", "drive", "mode @ 0.00 s", "mode @ 0.25 s")
        assert effect.parameters[3].choices == effect.parameters[4].choices != ()
        point = effect.parameters.defaults
        low, high = effect.render(noise(), [*point[:3], 0.0, 0.0]), effect.render(noise(), [*point[:3], 0.0, 0.2])
        assert np.array_equal(low[:, :11025], high[:, :11025])
        assert not np.array_equal(low, high)


def test_in_a_chain_each_effect_moves_in_its_own_blocks() -> None:
    both = chain(Automated("reference:gain", 2, seconds=SECONDS), "pedalboard-builtin:Gain")
    whole = Automated("reference:gain | pedalboard-builtin:Gain", 2, seconds=SECONDS)
    audio = noise()
    with load(both) as effect:
        assert effect.parameters.names[:2] == ("gain: Gain @ 0.00 s", "gain: Gain @ 0.50 s")
        one = effect.render(audio, [0.5, 0.9, 60 / 84])  # the second one at 0 dB
    with load(whole) as effect:
        assert len(effect.parameters) == 4
        two = effect.render(audio, [0.5, 0.5, 60 / 84, 72 / 84])
    assert np.abs(one[:, -100:]).mean() > 5 * np.abs(audio[:, -100:]).mean()
    assert np.allclose(two[:, -1000:], audio[:, -1000:] * 10 ** (12 / 20), rtol=0.15)


def test_hosts_render_curves_like_this_process(pool: ProcessPool) -> None:
    spec = ramp().spec
    audio, points = noise()[None], np.random.default_rng(1).uniform(size=(3, 1, 4))
    rendered, finite = pool.render_batch(spec, audio, points)
    assert finite.all()
    assert rendered.std(axis=0).max() > 0.0
    with load(pickle.loads(pickle.dumps(spec))) as effect:
        for result, point in zip(rendered, points, strict=True):
            assert np.array_equal(result[0], effect.render(audio[0], point[0]))


@pytest.fixture(scope="module")
def pool() -> Any:
    with ProcessPool(1) as host:
        yield host


def test_specs_of_other_curves_have_other_keys() -> None:
    plain = EffectSpec.of("reference:soft-clip")
    keys = {plain.key, ramp().spec.key, ramp(4).spec.key, ramp(shape="held").spec.key}
    assert len(keys) == 4
    assert ramp().spec.key == ramp().spec.key


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("reference:gain", 1), "knots=1 .* a curve of one knot is a constant setting"),
        (("reference:gain", 2.5), "knots=2.5 must be a whole number"),
        (("reference:gain", 600), "are 37 samples apart, .* move every 64 samples; use at most 345 knots"),
        (("reference:gain", 3, ["Gian"]), "no parameter 'Gian'; did you mean 'Gain'"),
        (("reference:gain", 3, "Gain"), r"must be a list of names; write \['Gain'\]"),
        (("pedalboard-builtin:LadderFilter", 3, ["mode"]), "'mode' has 6 levels .* use shape='held'"),
    ],
)
def test_what_cannot_move_is_refused_with_a_reason(arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(ParameterError, match=says):
        load(Automated(*arguments, seconds=SECONDS))


def test_more_that_cannot_move() -> None:
    with pytest.raises(ParameterError, match="seconds=0 must be a positive number"):
        Automated("reference:gain", 3, seconds=0)
    with pytest.raises(ParameterError, match="shape='cubic' is unknown"):
        ramp(shape="cubic")
    with pytest.raises(ParameterError, match="'Drive' is fixed, so it cannot move"):
        load(ramp(fixed={"Drive": 0.5}))
    with pytest.raises(EffectLoadError, match="settings of biquad cannot move"):
        load(Automated("reference:biquad", 3, seconds=SECONDS))
    with pytest.raises(ParameterError, match="has curves already"):
        Automated(ramp(), 3, seconds=SECONDS)


def test_a_table_of_settings_of_another_shape_is_refused() -> None:
    with load("reference:gain") as effect, pytest.raises(ParameterError, match=r"\[P, N\] = \[1, 345\].*got \[1, 3\]"):
        effect.render_curves(noise(), np.zeros((1, 3)))


def test_between_equal_knots_the_value_is_theirs_to_the_bit() -> None:
    curves = Curves((), 7, 1.7)
    values = np.random.default_rng(0).uniform(size=(5, 1)) * np.ones((1, 7))
    assert np.array_equal(curves.at_blocks(values, 300, 512, RATE), np.repeat(values[:, :1], 300, axis=1))
