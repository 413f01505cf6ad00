"""Mutations of the best settings."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.search.mutation import Mutation

TEN = ParameterSpace([Parameter(f"p{i}") for i in range(10)])


def moves(space: ParameterSpace, length: float, count: int = 1500) -> np.ndarray:
    mutation, middle = Mutation(space, seed=0), np.full(len(space), 0.5)
    return np.array([mutation.mutated(middle, length) - middle for _ in range(count)])


@pytest.mark.parametrize("count", [1, 2, 10])
def test_some_parameters_move_and_at_least_one(count: int) -> None:
    moved = moves(ParameterSpace(TEN[:count]), 0.02) != 0.0
    assert moved.any(axis=1).all()
    # each with probability 0.35, or 1 in their number if that is more; and one in any case
    each = max(0.35, 1.0 / count)
    np.testing.assert_allclose(moved.mean(axis=0), each + (1.0 - each) / count, atol=0.05)


@pytest.mark.parametrize("length", [0.01, 0.05])
def test_a_move_has_the_given_length_and_no_bias(length: float) -> None:
    found = moves(TEN, length)
    found = found[found != 0.0]
    assert found.std() == pytest.approx(length, rel=0.05)
    assert found.mean() == pytest.approx(0.0, abs=0.05 * length)


def test_mutated_settings_are_in_the_box_and_at_the_levels() -> None:
    space = ParameterSpace([Parameter("smooth"), Parameter("levels", "stepped", levels=5)])
    mutation = Mutation(space, seed=1)
    points = np.array([mutation.mutated(np.array([0.95, 0.25]), 0.4) for _ in range(200)])
    assert ((points >= 0.0) & (points <= 1.0)).all()
    np.testing.assert_array_equal(points, space.snap(points))
    assert len(np.unique(points[:, 1])) == 5


def test_the_length_grows_after_a_success_and_shrinks_after_a_failure_within_bounds() -> None:
    mutation = Mutation(TEN, seed=0)
    first = mutation.length
    mutation.adapt(True)
    longer = mutation.length
    mutation.adapt(False)
    assert first < mutation.length < longer, "a success is worth more than a failure"
    factors = []
    for success in (False,) * 12 + (True,) * 3:
        before = mutation.length
        mutation.adapt(success)
        factors.append(mutation.length / before)
    assert factors[:12] == pytest.approx([factors[0]] * 12)
    assert factors[12:] == pytest.approx([factors[12]] * 3)
    for success, bound in ((True, 0.4), (False, 0.003)):
        for _ in range(60):
            mutation.adapt(success)
        assert mutation.length == pytest.approx(bound)


def test_mutations_repeat_with_the_seed() -> None:
    point = np.full(10, 0.5)
    first, again, other = (Mutation(TEN, seed).mutated(point, 0.1) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_crossovers_take_some_parameters_of_one_place() -> None:
    random = np.random.default_rng(0)
    point, places = random.uniform(size=10), random.uniform(size=(3, 10))
    crossed = Mutation(TEN, seed=0, places=places).crossed(point, 200)
    assert crossed.shape == (200, 10)
    taken = crossed != point
    origins = [
        [i for i, place in enumerate(places) if np.array_equal(row[own], place[own])]
        for row, own in zip(crossed, taken, strict=True)
    ]
    assert all(origins)  # nothing that neither the point nor a place has
    assert {0, 1, 2} == {origin[0] for origin, own in zip(origins, taken, strict=True) if own.any()}
    counts = taken.sum(1)
    assert 1 in counts
    assert counts.max() > 5


def test_without_places_nothing_is_crossed() -> None:
    assert Mutation(TEN, seed=0).crossed(np.full(10, 0.5), 8).shape == (0, 10)
