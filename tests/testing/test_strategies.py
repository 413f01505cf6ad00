"""The strategies produce what they promise. With them: properties of estimators, parameter spaces and reference effects."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

import blackbox_grad as bg
from blackbox_grad.testing import strategies
from blackbox_grad.testing.strategies import NEAR

SEARCH = settings(max_examples=5000, database=None, derandomize=True, phases=[Phase.generate])
SPACE = bg.ParameterSpace([bg.Parameter("a"), bg.Parameter("b", "stepped", 0.0, levels=4), bg.Parameter("c", "toggle", 0.0)])

EXACT_ON_AFFINE = [
    bg.FiniteDifference(),
    bg.FiniteDifference("forward"),
    bg.SPSA(8, sides=1, directions="orthogonal"),
    bg.SPSA(8, sides=2, directions="orthogonal"),
]
ALL = [*EXACT_ON_AFFINE, bg.SPSA(), bg.SPSA(3, sides=1), bg.SPSA(2, directions="orthogonal", step=0.3), bg.StraightThrough()]


def most_slow(estimators: list[bg.Estimator]) -> list:
    """All but the first and the last are marked: one of a kind is quick enough for every day."""
    quick = (estimators[0], estimators[-1])
    return [pytest.param(e, id=repr(e), marks=[] if e in quick else [pytest.mark.slow]) for e in estimators]


@st.composite
def spaces_with_points(draw, **options):
    space = draw(strategies.parameter_spaces(**options))
    return space, draw(strategies.points(space))


# the strategies themselves


@given(parameter=strategies.parameters())
def test_a_drawn_parameter_is_at_a_level_and_has_a_range(parameter):
    assert parameter.snap(parameter.default) == parameter.default
    assert parameter.to_native(0.0) != parameter.to_native(1.0)


@pytest.mark.parametrize(
    "what",
    [
        lambda p: p.kind == "continuous" and p.scale == "log",
        lambda p: p.kind == "continuous" and p.scale == "table" and p.default == 1.0,
        lambda p: p.kind == "stepped" and p.levels > 5 and not p.choices,
        lambda p: p.kind == "stepped" and bool(p.choices),
        lambda p: p.kind == "toggle" and p.default == 1.0,
        lambda p: p.minimum > p.maximum,
    ],
)
def test_every_sort_of_parameter_is_reached(what):
    find(strategies.parameters(), what, settings=SEARCH)


@given(space=strategies.parameter_spaces(kinds=("stepped", "toggle"), min_size=2, max_size=4))
def test_a_drawn_space_has_the_kinds_and_the_size_asked_for(space):
    assert 2 <= len(space) <= 4
    assert {p.kind for p in space} <= {"stepped", "toggle"}
    assert len(set(space.names)) == len(space) == len(space.everything)


def test_spaces_with_held_parameters_in_any_order_are_reached():
    found = find(
        strategies.parameter_spaces(held=True),
        lambda s: len(s.everything) > len(s) and list(s.free) != sorted(s.free),
        settings=SEARCH,
    )
    assert set(found.free) < set(range(len(found.everything)))


@given(batch=st.integers(1, 4), data=st.data())
def test_points_lie_in_the_box_at_levels(batch, data):
    drawn = data.draw(strategies.points(SPACE, batch))
    assert drawn.shape == (batch, 3)
    np.testing.assert_array_equal(SPACE.snap(SPACE.check(drawn)), drawn)


@pytest.mark.parametrize(
    "what",
    [
        lambda p: np.array_equal(p, [1, 1, 1]),
        lambda p: np.array_equal(p, [0, 1, 0]),
        lambda p: p[0] == 0 and 0 < p[1] < 1,
        lambda p: 0 < p[0] < NEAR,
        lambda p: 1 - NEAR < p[0] < 1,
        lambda p: 0.2 < p[0] < 0.8 and p[1] == 2 / 3,
    ],
)
def test_corners_faces_levels_and_near_faces_are_reached(what):
    find(strategies.points(SPACE), what, settings=SEARCH)


@given(audio=strategies.audio(channels=(2, 3), max_samples=300))
def test_audio_is_float32_in_range_of_the_shape_asked_for(audio):
    assert audio.dtype == np.float32
    assert audio.shape[0] in (2, 3)
    assert 1 <= audio.shape[1] <= 300
    assert np.abs(audio).max() <= 1.0


@pytest.mark.parametrize(
    "what",
    [
        lambda a: a.shape == (1, 1) and a.any(),
        lambda a: a.shape[1] > 1000 and not a.any(),
        lambda a: a.shape[1] > 100 and np.count_nonzero(a[0]) == 2,
        lambda a: a.shape[0] == 2 and np.count_nonzero(a) > 1000 and np.abs(a).max() > 0.5,
    ],
)
def test_silence_impulses_noise_and_one_sample_are_reached(what):
    find(strategies.audio(), what, settings=SEARCH)


@given(degree=st.integers(0, 2), data=st.data())
def test_a_problem_has_the_gradient_it_states(degree, data):
    drawn = data.draw(strategies.problems(degree=degree, kinds=strategies.KINDS))
    point = drawn.point.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(drawn.function(point).sum(), point)
    torch.testing.assert_close(drawn.gradient, gradient)
    curved = bool(drawn.function.quadratic.any())
    assert not (degree < 2 and curved)
    assert degree > 0 or not gradient.any()


def test_curved_problems_at_a_corner_are_reached():
    drawn = find(
        strategies.problems(degree=2),
        lambda d: (
            d.point.shape[1] > 2 and bool(d.function.quadratic.all(-1).any()) and bool((d.point == d.point.round()).all())
        ),
        settings=SEARCH,
    )
    assert drawn.gradient.shape == drawn.point.shape


def test_a_degree_that_is_not_offered_is_refused():
    with pytest.raises(ValueError, match="degree=3 must be 0, 1 or 2"):
        find(strategies.problems(degree=3), lambda d: True)


# properties of estimators


@pytest.mark.parametrize("estimator", most_slow(EXACT_ON_AFFINE))
@given(drawn=strategies.problems(degree=1, kinds=strategies.KINDS))
def test_exact_on_affine_functions_anywhere_in_the_box(estimator, drawn):
    torch.testing.assert_close(estimator.estimate(drawn.problem()).gradient, drawn.gradient, rtol=1e-6, atol=1e-6)


@given(drawn=strategies.problems(degree=2), step=st.floats(1e-3, 0.25))
def test_central_differences_are_exact_on_quadratics_with_any_step(drawn, step):
    estimate = bg.FiniteDifference("central", step).estimate(drawn.problem())
    torch.testing.assert_close(estimate.gradient, drawn.gradient, rtol=1e-6, atol=1e-6)


@given(drawn=strategies.problems(degree=2), step=st.floats(1e-3, 0.25))
def test_forward_differences_miss_quadratics_by_half_a_step_of_their_curvature(drawn, step):
    error = (bg.FiniteDifference("forward", step).estimate(drawn.problem()).gradient - drawn.gradient).abs()
    curvature = torch.diagonal(drawn.function.quadratic, dim1=1, dim2=2).abs()
    assert (error <= 0.5 * step * curvature + 1e-6).all()


@pytest.mark.parametrize("estimator", most_slow(ALL))
@given(drawn=strategies.problems(degree=2, kinds=strategies.KINDS))
def test_equal_seeds_give_equal_gradients_and_the_declared_number_of_probes(estimator, drawn):
    """`Problem.probe` raises on a point outside the box, so this holds at every drawn face and corner too."""
    problem = drawn.problem()
    first = estimator.estimate(problem).gradient
    assert torch.equal(first, estimator.estimate(drawn.problem()).gradient)
    assert torch.isfinite(first).all()
    assert problem.probes == estimator.promises(problem.count).probes


@pytest.mark.parametrize("estimator", most_slow(ALL))
@given(drawn=strategies.problems(degree=2, max_batch=2), factor=st.integers(-3, 3))
def test_estimates_are_linear_in_the_function(estimator, drawn, factor):
    """Linear, like gradients: twice the loss has twice the gradient, with the same random directions."""
    f = drawn.function
    scaled = copy.deepcopy(drawn).problem()
    scaled.evaluate = lambda p: factor * f(p)
    scaled.find_value = lambda: factor * f(drawn.point)
    expected = factor * estimator.estimate(drawn.problem()).gradient
    torch.testing.assert_close(estimator.estimate(scaled).gradient, expected, rtol=1e-6, atol=1e-6)


# properties of parameter spaces


@given(drawn=spaces_with_points(held=True))
def test_complete_puts_free_values_in_their_places(drawn):
    space, point = drawn
    values = space.complete(point)
    np.testing.assert_array_equal(values[list(space.free)], point)
    held = [i for i in range(len(space.everything)) if i not in space.free]
    np.testing.assert_array_equal(values[held], [space.everything[i].default for i in held])


@given(drawn=spaces_with_points())
def test_native_values_and_back_are_the_same_point(drawn):
    space, point = drawn
    back = [p.to_normalised(native) for p, native in zip(space, space.to_native(point).values(), strict=True)]
    np.testing.assert_allclose(back, point, atol=1e-6)


@given(space=strategies.parameter_spaces(held=True))
def test_a_selection_of_everything_by_name_is_the_same_space(space):
    assert space.select(space.names).names == space.names
    assert set(space.select("all").names) == {p.name for p in space.everything}


# properties of effects


@pytest.mark.parametrize("name", ["gain", "soft-clip", "biquad", "delay"])
@given(audio=strategies.audio(min_samples=0, max_samples=600), data=st.data())
@settings(max_examples=30)
def test_reference_effects_are_pure_on_any_audio_and_point(name, audio, data):
    with bg.load(f"reference:{name}", parameters="all") as effect:
        point = data.draw(strategies.points(effect.parameters))
        before = audio.copy()
        result = effect.render(audio, point)
        assert (result.shape, result.dtype) == (audio.shape, np.float32)
        assert np.isfinite(result).all()
        effect.render(audio[:, ::-1], 1.0 - point)
        np.testing.assert_array_equal(effect.render(audio, point), result)
        np.testing.assert_array_equal(audio, before)


def test_without_hypothesis_the_rest_of_the_kit_works_and_the_error_names_the_way_out():
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import blackbox_grad.testing as t\n"
        "t.check_effect('reference:gain')\n"
        "t.strategies"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)
    assert "MissingDependencyError: blackbox_grad.testing.strategies needs hypothesis" in done.stderr
    assert "which is not installed" in done.stderr
