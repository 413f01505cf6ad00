"""The amount of settings is proportional to how far the sound is from the neutral one."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from blackbox_grad import EffectSpec, InProcessHost, Notes, audio_files
from blackbox_grad.effects import Audio, EffectInfo
from blackbox_grad.effects.packing import parted
from blackbox_grad.errors import ParameterError
from blackbox_grad.inspection import SoundPath
from blackbox_grad.inspection.excerpt import excerpt
from blackbox_grad.inspection.listening import Ear, spectrum
from blackbox_grad.parameters import FloatArray

MDA = "dawdreamer:http://drobilla.net/plugins/mda"
DX10 = f"{MDA}/DX10"
AMOUNTS = np.linspace(0.0, 1.5, 13)


def guitar(seconds: float = 1.0) -> Audio:
    audio, rate = audio_files.example()
    return audio[:, int(0.68 * rate) : int((0.68 + seconds) * rate)]


def distances(host: InProcessHost, path: SoundPath, info: EffectInfo, sound: Audio, dry: Audio | None = None) -> FloatArray:
    """dB from the neutral sound at `AMOUNTS`, rendered again."""
    y, _ = host.render_batch(info.spec, sound[None], np.array([path.at(amount) for amount in AMOUNTS])[:, None])
    ear = Ear(np.concatenate(y[:, 0], axis=1) if dry is None else dry)
    heard = [ear.decibels(spectrum(one)) for one in y[:, 0]]
    return np.array([np.sqrt(np.mean((one - heard[0]) ** 2)) for one in heard])


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("address", [f"{MDA}/Overdrive", f"{MDA}/RingMod", "pedalboard-builtin:Reverb"])
def test_the_sound_moves_from_the_neutral_one_in_proportion(address: str, seed: int) -> None:
    host, sound = InProcessHost(), guitar()
    info = host.open(EffectSpec.of(address))
    neutral, point = np.random.default_rng(seed).uniform(0.0, 0.9, (2, len(info.parameters)))
    found = distances(host, SoundPath(host, info, neutral, point, sound), info, sound, sound)
    whole = found[8]
    assert (np.diff(found) > -0.03 * whole).all()
    np.testing.assert_allclose(found[:9] / whole, AMOUNTS[:9], atol=0.08)
    assert found.max() < 1.6 * whole


def test_both_ends_are_the_settings_to_the_bit_and_cost_no_render() -> None:
    host = InProcessHost()
    info = host.open(EffectSpec.of("pedalboard-builtin:Reverb"))
    space, before = info.parameters, host.renders
    neutral, point = np.random.default_rng(0).uniform(size=(2, len(space)))
    path = SoundPath(host, info, neutral, point, guitar())
    assert path.at(0.0).tolist() == space.snap(neutral).tolist()
    assert path.at(1.0).tolist() == space.snap(point).tolist()
    assert host.renders == before
    path.at(0.3)
    path.at(1.3)
    assert host.renders - before <= 25


@pytest.mark.parametrize("amount", [-0.1, 1.6, float("nan")])
def test_other_amounts_are_refused(amount: float) -> None:
    host = InProcessHost()
    info = host.open(EffectSpec.of("reference:gain"))
    with pytest.raises(ParameterError, match=r"must be from 0 \(neutral\)"):
        SoundPath(host, info, info.parameters.defaults, info.parameters.defaults, guitar()).at(amount)


def test_an_instrument_goes_from_its_defaults_to_a_patch() -> None:
    host = InProcessHost()
    info = host.open(EffectSpec.of(DX10))
    sound = Notes([(48, 100, 0.0, 0.3), (60, 100, 0.3, 0.3)], 1.0).packed(info.sample_rate)
    point = np.random.default_rng(3).uniform(0.1, 0.9, len(info.parameters))
    path = SoundPath(host, info, info.parameters.defaults, point, sound)
    found = distances(host, path, info, sound)
    assert (np.diff(found) > -0.05 * found[8]).all()
    assert np.abs(found[:9] / found[8] - AMOUNTS[:9]).mean() < 0.15  # steps of a ratio make the sound jump


class Told(InProcessHost):
    """A host whose effect turns its input down, by a law: `(p, noise) -> dB`; not finite where that is NaN."""

    def __init__(self, law: Any, repeatability: float = 0.0) -> None:
        super().__init__()
        self.law, self.repeatability, self.rng = law, repeatability, np.random.default_rng(0)

    def open(self, spec: EffectSpec) -> EffectInfo:
        return dataclasses.replace(super().open(spec), repeatability=self.repeatability)

    def render_batch(self, spec: EffectSpec, audio: Audio, points: FloatArray) -> Any:
        decibels = np.array([self.law(p) + self.repeatability * self.rng.standard_normal() for p in points[:, 0, 0]])
        y = audio[None] * 10.0 ** (decibels[:, None, None, None] / 20.0)
        return y.astype(np.float32), np.isfinite(decibels)[:, None]


def place(law: Any, amount: float, repeatability: float = 0.0) -> float:
    """Of an amount of 0.6, from 0."""
    host = Told(law, repeatability)
    info = host.open(EffectSpec.of("reference:gain", parameters=["Gain"]))
    return float(SoundPath(host, info, [0.0], [0.6], guitar(0.3)).at(amount)[0])


def test_it_is_the_first_place_on_the_way() -> None:
    def law(p: float) -> float:
        return float(np.interp(p, [0.0, 0.3, 0.6, 0.9], [0.0, -12.0, -6.0, -9.0]))

    places = [place(law, amount) for amount in (0.25, 0.5, 0.99, 1.0, 1.2, 1.5)]
    assert places[:3] == pytest.approx([0.0375, 0.075, 0.1485], abs=0.01)
    assert places[3] == 0.6
    assert places[4:] == pytest.approx([0.72, 0.9], abs=0.02)


def test_past_the_settings_it_stays_where_the_sound_is_furthest() -> None:
    places = [place(lambda p: -10.0 * min(p, 0.75), amount) for amount in (1.0, 1.1, 1.3, 1.5)]
    assert places[1] == pytest.approx(0.66, abs=0.01)
    assert 0.75 <= places[2] == places[3] <= 0.85
    assert [place(lambda p: -10.0 * (0.6 - abs(p - 0.6)), amount) for amount in (1.2, 1.5)] == [0.6, 0.6]


def test_a_jump_is_found_and_amounts_across_it_stay_monotone() -> None:
    places = [place(lambda p: -4.0 * p - 6.0 * (p > 0.41), amount) for amount in np.linspace(0.0, 1.0, 11)]
    assert (np.diff(places) >= 0).all()
    assert places[3:7] == pytest.approx([0.41] * 4, abs=0.02)


@pytest.mark.parametrize("law", [lambda p: 0.0, lambda p: np.nan if p == 0.6 else -p, lambda p: np.nan if p == 0.0 else -p])
def test_without_a_distance_the_amount_is_the_place_on_the_line(law: Any) -> None:
    assert [place(law, amount) for amount in (0.5, 1.5)] == pytest.approx([0.3, 0.9])


def test_a_render_that_is_not_finite_is_left_out() -> None:
    assert place(lambda p: np.nan if 0.1 < p < 0.4 else -10.0 * p, 0.5) == pytest.approx(0.3, abs=0.01)


def test_equal_renders_that_differ_are_averaged() -> None:
    means = [place(lambda p: -20.0 * p, 0.5, repeatability=0.5) for _ in range(3)]
    assert np.mean(means) == pytest.approx(0.3, abs=0.05)


def test_a_silent_input_is_replaced_by_a_recording() -> None:
    host = InProcessHost()
    info = host.open(EffectSpec.of("pedalboard-builtin:Gain"))
    space = info.parameters
    path = SoundPath(
        host, info, space.point({"gain_db": "0dB"}), space.point({"gain_db": "-12dB"}), np.zeros((3, 9000), np.float32)
    )
    assert space[0].to_native(float(path.at(0.5)[0])) == pytest.approx(-6.0, abs=0.5)


def test_the_excerpt_is_the_loudest_part_and_keeps_its_notes() -> None:
    rate = 1000.0
    audio = np.full((2, 20_000), 0.1, np.float32)
    audio[:, 9000:13_000] = 0.5
    assert (excerpt(audio, rate) == 0.5).all()
    assert excerpt(audio, rate).shape == (2, 4000)
    assert excerpt(audio[:, :100], rate).shape == (2, 100)
    notes = Notes([("C4", 100, 8.0, 2.0), ("E4", 100, 10.0, 1.0), ("G4", 100, 15.0, 1.0)], 20.0)
    part, beside = parted(excerpt(notes.beside(audio, rate), rate))
    assert (part == 0.5).all()
    expected = Notes([("C4", 100, 0.0, 1.0), ("E4", 100, 1.0, 1.0)], 4.0).packed(rate, 1)
    np.testing.assert_array_equal(beside, expected)
    alone = excerpt(notes.packed(rate), rate)
    np.testing.assert_array_equal(alone, Notes([("C4", 100, 0.0, 2.0), ("E4", 100, 2.0, 1.0)], 4.0).packed(rate))
