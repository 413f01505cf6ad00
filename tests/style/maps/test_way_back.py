"""The way back: from a plane to settings."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from blackbox_grad_adapters.style_matching.maps.way_back import WayBack, fitted

unit = st.floats(0.0, 1.0, width=32)


def known(count=40, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((count, 2)), rng.random((count, 3))


def test_at_known_places_it_is_near_the_known_settings():
    places, settings = known()
    assert np.abs(WayBack(places, settings, 0.002)(places) - settings).max() < 0.01


@given(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), st.sampled_from([1e-6, 0.02, 0.5]))
def test_everywhere_it_is_between_the_known_settings(place, width):
    places, settings = known()
    found = WayBack(places, settings, width)(np.array([place]))[0]
    assert np.all(found >= settings.min(axis=0) - 1e-9)
    assert np.all(found <= settings.max(axis=0) + 1e-9)


@given(unit, unit, st.floats(0.0, 2 * np.pi))
def test_it_does_not_jump(x, y, angle):
    places, settings = known()
    way_back = WayBack(places, settings, 0.05)
    here = np.array([[x, y]])
    there = here + 1e-5 * np.array([[np.cos(angle), np.sin(angle)]])
    assert np.abs(way_back(there) - way_back(here)).max() < 1e-2


def test_a_setting_left_out_does_not_count():
    places, settings = known()
    chosen = np.array([3, 7])
    before = WayBack(places, settings, 0.1).without_themselves(chosen)
    changed = settings.copy()
    changed[3] += 10
    after = WayBack(places, changed, 0.1).without_themselves(chosen)
    assert np.array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])


def test_the_width_is_the_one_that_sounds_right():
    """Settings that are a function of the place need no smoothing; noisy ones do."""
    places = np.stack(np.meshgrid(np.linspace(0, 1, 16), np.linspace(0, 1, 16)), axis=-1).reshape(-1, 2)
    clean = np.stack([places[:, 0], np.sin(6 * places[:, 1])], axis=1)
    noisy = clean + np.random.default_rng(0).standard_normal(clean.shape)
    sharp, explained = fitted(places, clean, clean, lambda p: p)
    smooth, less = fitted(places, noisy, clean, lambda p: p)
    assert smooth.width > sharp.width
    assert 0.97 < explained < 1.0
    assert less < explained


def test_places_that_coincide_are_no_trouble():
    places, settings = np.full((20, 2), 0.5), np.random.default_rng(0).random((20, 2))
    way_back, _ = fitted(places, settings, settings, lambda p: p)
    assert np.allclose(way_back(np.array([[0.5, 0.5]])), settings.mean(axis=0))
