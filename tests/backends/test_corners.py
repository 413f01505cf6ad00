"""Settings at which a plug-in fails are out of reach, and all others stay."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from blackbox_grad import EffectSpec, Parameter, ParameterSpace, ProcessPool, errors, load
from blackbox_grad_backends.dawdreamer_effect import DawDreamerPluginEffect
from blackbox_grad_backends.dawdreamer_plugin import DawDreamerPluginBackend
from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.corners import WHOLE, Reach, find_reaches, narrowed, near_the_default, note, notes
from blackbox_grad_backends.pedalboard_effect import PedalboardPluginEffect

SPACE = ParameterSpace(
    [
        Parameter("Gain", default=0.5),
        Parameter("Room", default=0.3, minimum=1.0, maximum=101.0, unit="m"),
        Parameter("Type", "stepped", 0.0, 3, choices=("a", "b", "c")),
        Parameter("Side", "toggle", 0.0),
    ]
)


def reaches(fails) -> list[Reach]:
    def attempt(values):
        if fails(*values):
            raise MemoryError("std::bad_alloc")

    found = find_reaches(SPACE.everything, SPACE.defaults, attempt)
    for corner in (np.array([r.low for r in found]), np.array([r.high for r in found])):
        assert not fails(*corner)
    return list(found)


def test_where_nothing_fails_all_is_in_reach():
    assert reaches(lambda *_: False) == [WHOLE] * 4


@pytest.mark.parametrize("edge", [0.31, 0.5, 0.9, 0.9999, 1.0])
def test_a_parameter_ends_just_before_it_fails(edge):
    found = reaches(lambda gain, room, kind, side: room >= edge)
    assert [found[0], found[2], found[3]] == [WHOLE] * 3
    assert found[1].low == 0.0
    assert max(0.3, edge - 0.02) <= found[1].high < edge


def test_both_ends_may_fail():
    found = reaches(lambda gain, room, kind, side: not 0.2 < gain < 0.8)
    assert 0.2 < found[0].low < 0.22 < 0.78 < found[0].high < 0.8


def test_a_switch_that_fails_stays_where_it_is():
    found = reaches(lambda gain, room, kind, side: side > 0.5)
    assert found == [WHOLE, WHOLE, WHOLE, Reach(0.0, 0.0)]


def test_of_two_that_fail_together_the_one_gives_way_that_loses_less():
    found = reaches(lambda gain, room, kind, side: gain > 0.7 and room > 0.95)
    assert found[0] == WHOLE
    assert 0.93 <= found[1].high <= 0.95


def test_two_that_each_fail_both_give_way():
    found = reaches(lambda gain, room, kind, side: gain > 0.9 or room > 0.9)
    assert found[0].high <= 0.9
    assert found[1].high <= 0.9
    assert found[0].high > 0.87
    assert found[1].high > 0.87


def test_our_own_errors_are_not_the_plug_ins():
    def attempt(values):
        raise errors.RenderError("closed")

    with pytest.raises(errors.RenderError, match="closed"):
        find_reaches(SPACE.everything, SPACE.defaults, attempt)


@pytest.mark.parametrize(
    "parameter",
    [
        SPACE.everything[1],
        Parameter("Frequency", default=0.5, minimum=20.0, maximum=20000.0, unit="Hz", scale="log"),
        Parameter("Table", default=0.5, scale="table", table=(0.0, 1.0, 10.0, 100.0), minimum=0.0, maximum=100.0),
    ],
)
def test_a_narrowed_parameter_means_the_same_values(parameter):
    reach = Reach(0.1, 0.8)
    narrow = narrowed(parameter, reach)
    for value in (0.0, 0.25, 0.5, 1.0):
        expected = parameter.to_native(reach.low + value * (reach.high - reach.low))
        assert narrow.to_native(value) == pytest.approx(expected, rel=0.05)
    assert narrow.to_native(narrow.default) == pytest.approx(parameter.to_native(parameter.default), rel=0.05)
    assert parameter.name in note(parameter, reach)
    assert note(parameter, WHOLE) == ""


@pytest.mark.slow
@pytest.mark.parametrize("locator", ["ZynReverb.so"])
def test_zynreverb_opens_without_its_largest_rooms_and_says_so(locator):
    if plugin_folders.find(locator, "vst2") is None:
        pytest.skip("zynaddsubfx-vst is not installed")
    with load(f"dawdreamer:{locator}", parameters="all") as effect:
        (sentence,) = effect.notes
        assert sentence.startswith("'Room size' goes from 1 to 12")
        audio = (0.1 * np.random.default_rng(0).standard_normal((2, 4000))).astype(np.float32)
        expected = effect.render(audio, np.ones(len(effect.parameters)))
        with load(pickle.loads(pickle.dumps(effect.spec))) as twin:
            assert twin.notes == effect.notes
            assert twin.parameters == effect.parameters
            np.testing.assert_array_equal(twin.render(audio, np.ones(len(effect.parameters))), expected)


def test_opening_that_ends_a_host_is_tried_again_more_gently(third_party):
    spec = EffectSpec.of("faulty:rough-opening")
    with ProcessPool(1) as pool:
        assert pool.open(spec).notes == ("it was opened gently",)
        assert pool.replaced == 1
        audio = np.ones((1, 1, 100), np.float32)
        output, _ = pool.render_batch(spec, audio, np.full((1, 1), 0.25))
        np.testing.assert_allclose(output, 0.25)
    with ProcessPool(1) as pool, pytest.raises(errors.RenderError, match="crashed with SIGSEGV in 2 host processes"):
        pool.open(EffectSpec.of("faulty:crash-opening"))


@pytest.mark.plugins
@pytest.mark.parametrize("locator", ["http://drobilla.net/plugins/mda/Combo", "ZamDelay-vst.so"])
def test_a_gentle_opening_keeps_near_the_defaults(locator, monkeypatch):
    rough = DawDreamerPluginBackend().open(locator, 44100.0, {})
    seen = []
    kind = type(rough)
    run = kind._run

    def watched(self, audio, values, moves=None):
        seen.append(self._lows + values * self._spans)
        return run(self, audio, values, moves)

    monkeypatch.setattr(kind, "_run", watched)
    effect = DawDreamerPluginBackend().open(locator, 44100.0, {"gentle": True})
    continuous = [p for p in rough.parameters.everything if p.levels is None]
    assert effect.parameters.names == tuple(p.name for p in continuous)
    defaults = np.array([p.default for p in continuous])
    for values in seen:
        if len(values) == len(continuous):
            assert np.abs(values - defaults).max() <= 0.25 + 1e-9
    assert effect.notes
    for narrow, whole in zip(effect.parameters.everything, continuous, strict=True):
        assert narrow.to_native(narrow.default) == pytest.approx(whole.to_native(whole.default), rel=1e-3, abs=1e-6)
    audio = (0.1 * np.random.default_rng(0).standard_normal((2, 3000))).astype(np.float32)
    np.testing.assert_allclose(
        effect.render(audio, effect.parameters.defaults), rough.render(audio, rough.parameters.defaults), atol=1e-4
    )


def test_many_notes_are_one():
    many = [Parameter(f"p{i}", default=0.5) for i in range(9)]
    (sentence,) = notes(many, [near_the_default(p) for p in many])
    assert sentence.startswith("9 parameters stay near their defaults")
    assert len(notes(many[:3], [near_the_default(p) for p in many[:3]])) == 3
    assert notes(many, [WHOLE] * 9) == ()


@pytest.mark.plugins
@pytest.mark.parametrize("address", ["pedalboard:ZamDelay.vst3", "dawdreamer:urn:zamaudio:ZamDelay"])
def test_a_plugin_that_fails_at_an_end_opens_without_it(address, monkeypatch):
    """A real plug-in that throws where it does not throw by itself."""

    def guarded(numbers):
        def watched(effect, values):
            found = numbers(effect, values)
            if found[effect.parameters.names.index("Feedback")] > 0.75:
                raise MemoryError("std::bad_alloc")
            return found

        return watched

    for kind in (DawDreamerPluginEffect, PedalboardPluginEffect):
        monkeypatch.setattr(kind, "numbers", guarded(kind.numbers))
    with load(address, parameters="all") as effect:
        assert len(effect.notes) == 1
        assert effect.notes[0].startswith("'Feedback' goes from 0 ")
        end = effect.parameters.defaults.copy()
        end[effect.parameters.names.index("Feedback")] = 1.0
        assert np.isfinite(effect.render(np.ones((1, 512), np.float32), end)).all()
        assert effect.parameters.everything[effect.parameters.names.index("Feedback")].maximum == pytest.approx(0.74, abs=0.01)
