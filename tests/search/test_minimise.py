"""A minimum in a box."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox_grad.search.minimise import minimum

CURVES = np.array([[2.0, 0.8], [0.8, 1.0]])


def bowl(centre):
    """`(x - centre)ᵀ A (x - centre) + 3` and its slopes."""
    return lambda x: (float((x - centre) @ CURVES @ (x - centre)) + 3.0, 2.0 * CURVES @ (x - centre))


def test_a_minimum_inside_the_box_is_found_with_its_value():
    found, value = minimum(bowl(np.array([0.3, 0.6])), np.array([0.9, 0.1]), [(0.0, 1.0)] * 2, 50)
    assert found == pytest.approx([0.3, 0.6], abs=1e-4)
    assert value == pytest.approx(3.0, abs=1e-6)


def test_at_a_face_the_other_coordinates_have_their_minimum_there():
    # at its bound the first is 0.5 short of the centre, for which the second makes up by 0.8 · 0.5
    found, value = minimum(bowl(np.array([1.5, 0.2])), np.array([0.5, 0.5]), [(0.0, 1.0), (-1.0, 1.0)], 50)
    assert found == pytest.approx([1.0, 0.6], abs=1e-4)
    assert value == pytest.approx(bowl(np.array([1.5, 0.2]))(found)[0])


def test_it_ends_after_so_many_iterations():
    start, far = np.array([0.9, 0.1]), bowl(np.array([0.3, 0.6]))
    _, one = minimum(far, start, [(0.0, 1.0)] * 2, 1)
    assert 3.001 < one < far(start)[0]
