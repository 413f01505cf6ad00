"""References that no controller was trained for: what comes no nearer to them is taken back, and switches are found."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch

from blackbox_grad import EffectSpec, audio_files
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.matching import matcher as matching
from blackbox_grad_adapters.style_matching.matching.against import Against
from blackbox_grad_adapters.style_matching.matching.band import Band
from blackbox_grad_adapters.style_matching.matching.guard import ENOUGH, taken_back
from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher
from blackbox_grad_adapters.style_matching.matching.setter import StyleSetter
from blackbox_grad_adapters.style_matching.matching.spread import total
from blackbox_grad_adapters.style_matching.measures.spectral import multi_resolution_stft
from blackbox_grad_adapters.style_matching.networks import shipped

RATE = 24_000


def guitar(start, seconds):
    audio, own = audio_files.example()
    return audio_files.resample(audio[:1], own, RATE)[:, int(start * RATE) : int((start + seconds) * RATE)]


def through(address, audio, **settings):
    """`[C, T]` through an effect, at native or normalised settings by name; the others at their defaults."""
    path = EffectPath(EffectSpec.of(address, RATE, "all"))
    p = path.effect.parameter_space.point(settings)
    with torch.no_grad():
        return path(torch.from_numpy(audio)[None], torch.from_numpy(p).float()[None])[0].numpy()


@pytest.mark.plugins
@pytest.mark.parametrize("effect", ["RingMod", "MultiBand"])
def test_a_reference_without_effect_gives_about_none(effect):
    x = guitar(0, 2)
    found = StyleMatcher.load(effect).match(x, guitar(0.5, 2), RATE)
    assert found.bypassed
    assert found.guard.amount == 0.0
    np.testing.assert_array_equal(found.y, x)
    assert found.distance == found.distance_before


@pytest.mark.plugins
@pytest.mark.parametrize(
    ("effect", "reference"),
    [
        ("Ambience", lambda x: through("pedalboard-builtin:Distortion", x, drive_db="30 dB")),
        ("RingMod", lambda x: through("pedalboard-builtin:Phaser", x)),
        ("Leslie", lambda x: through("pedalboard-builtin:Reverb", x)),
        ("Overdrive", lambda x: x),
    ],
)
def test_no_result_is_farther_from_the_reference_than_the_input(effect, reference):
    matcher, x, wanted = StyleMatcher.load(effect), guitar(0, 2), reference(guitar(2, 2))
    found, free = matcher.match(x, wanted, RATE), matcher.match(x, wanted, RATE, guard=False)
    assert found.bypassed or total(found.guard.distances) <= ENOUGH * total(found.guard.distances_before)
    assert free.guard is None
    if found.guard.amount == 1.0 and not found.guard.other:
        np.testing.assert_array_equal(found.p, free.p)


def test_another_answer_that_comes_near_is_taken_before_the_effect_is_taken_back():
    matcher = StyleMatcher.load("pedalboard-builtin:Distortion")
    x, reference = guitar(0, 2), through("pedalboard-builtin:Distortion", guitar(2, 2), drive_db="30 dB")
    dry, goal = torch.from_numpy(x)[None], torch.from_numpy(reference)[None]
    setter, band = StyleSetter(matcher.encoder, matcher.path), Band(RATE, RATE, RATE)
    near, far = matcher.predict(dry, goal), torch.zeros(1, 1)
    for others, taken in ((torch.cat([far, near]), near), (far, None), (None, None)):
        against = Against(matcher.path, dry, goal, band)
        p, verdict = taken_back(setter, against, far, RATE, others)
        assert verdict.other == (taken is not None)
        if taken is not None:
            torch.testing.assert_close(p, taken)
            assert against.renders == 3
            assert total(verdict.distances) < ENOUGH * total(verdict.distances_before)
            assert "another answer" in verdict.remarks[0]
        else:
            assert verdict.amount < 1.0


@pytest.mark.plugins
def test_a_switch_that_the_reference_used_is_found():
    matcher = StyleMatcher.load("MultiBand")
    heard = {
        listen: matcher.match(
            guitar(0, 2), through(f"{shipped.MDA}/MultiBand", guitar(0.5, 2), Listen=listen), RATE
        ).settings()["Listen"]
        for listen in ("Low", "Output")
    }
    assert heard == {name: name for name in heard}


@pytest.mark.plugins
def test_level_and_sample_rate_of_the_reference_do_not_matter():
    """The recordings have nothing above 6 kHz, so that the lower rate loses nothing."""
    x, other = (Band(RATE, 12_000)(torch.from_numpy(guitar(start, 2))[None])[0].numpy() for start in (0, 2))
    wanted = Band(RATE, 12_000)(torch.from_numpy(through(f"{shipped.MDA}/Overdrive", other, Drive=0.7))[None])[0].numpy()
    matcher = StyleMatcher.load("Overdrive")
    once = matcher.match(x, wanted, RATE)
    for reference, rate in ((0.02 * wanted, RATE), (audio_files.resample(wanted, RATE, 16_000), 16_000)):
        again = matcher.match(3 * x, reference, RATE, rate)
        assert again.p == pytest.approx(once.p, abs=0.05)
        assert again.guard.amount == once.guard.amount


def test_a_band_keeps_what_both_can_hold():
    t = torch.arange(RATE) / RATE
    low, high = (torch.sin(2 * torch.pi * f * t)[None, None] for f in (1_000.0, 7_000.0))
    kept = Band(RATE, 48_000, 8_000)(low + high)
    assert kept.shape == low.shape
    torch.testing.assert_close(kept[..., 2_000:-2_000], low[..., 2_000:-2_000], atol=0.01, rtol=0.0)
    assert Band(RATE, 24_000, 44_100)(low) is low
    assert Band(RATE)(low) is low


@pytest.mark.plugins
def test_ctrl_c_in_the_refinement_leaves_the_result_guarded(monkeypatch):
    matcher, x = StyleMatcher.load("RingMod"), guitar(0, 2)
    refined = matching.refined

    def pressed(*arguments):
        signal.raise_signal(signal.SIGINT)
        return refined(*arguments)

    monkeypatch.setattr(matching, "refined", pressed)
    found = matcher.match(x, guitar(0.5, 2), RATE, refine=200)
    assert found.interrupted
    assert found.bypassed or total(found.guard.distances) <= ENOUGH * total(found.guard.distances_before)


@pytest.mark.plugins
def test_short_recordings_are_guarded_too():
    found = StyleMatcher.load("Overdrive").match(guitar(0, 0.05), guitar(1, 0.05), RATE)
    assert found.y.shape == (1, 1200)
    assert found.guard is not None


@pytest.mark.plugins
def test_refinement_keeps_the_settings_where_the_halves_of_a_recording_differ_more_than_the_settings():
    """The network is right about this setting; the halves of the guitar, a chord and single notes, differ much."""
    matcher = StyleMatcher.load("Overdrive")
    x, other = (torch.from_numpy(guitar(start, 1.9)) for start in (0, 2))
    p = torch.tensor([[0.3, 0.2, 0.5]])
    with torch.no_grad():
        truth, reference = matcher.path(torch.stack([x, other]), p.expand(2, -1)).split(1)
        near = matcher.refine(x, reference[0], p[0], 60)
        there = multi_resolution_stft(matcher.path(x[None], near[None]), truth)
        dry = multi_resolution_stft(matcher.path.dry(x[None]), truth)
    assert float(there) < 0.5 * float(dry)
