"""Every estimator keeps what it declares, and reference effects confirm it with exact gradients."""

from __future__ import annotations

import pytest
import torch

import blackbox_grad as bg
from blackbox_grad.errors import EstimatorError, MissingDependencyError, ParameterError
from blackbox_grad.estimators import Estimate, Promises, estimator, estimator_names, promises_of, reach
from blackbox_grad.inspection import ParameterInspection
from blackbox_grad.testing import check_estimator
from blackbox_grad.testing.estimators import promises
from blackbox_grad.testing.examination import CheckFailed
from blackbox_grad_backends.reference import differentiable

#: Influences of an effect with the names that the kit gives to parameters: strong and weak ones.
INSPECTION = bg.Inspection(
    *("reference:none", "none", 44100.0, "mono", 0),
    parameters=tuple(ParameterInspection(f"p{i}", "continuous", reaches_sound=True, influence=4.0**-i) for i in range(8)),
)

#: All that are registered, and these with other options: every test of laws runs over them.
ESTIMATORS = [
    *estimator_names(),
    "auto:samples=3",
    "auto:step=0.2",
    "auto:items=4",
    bg.Auto(samples=2, inspection=INSPECTION),
    bg.Auto(samples=20, inspection=INSPECTION),
    "coordinates:samples=3,memory=0",
    "coordinates:samples=8",
    "finite-difference:scheme=forward",
    bg.Inspected("spsa:samples=2", INSPECTION),
    "spsa:samples=3,sides=1",
    "spsa:samples=2,sides=1,directions=orthogonal",
    "spsa:samples=8,sides=1,directions=orthogonal",
    "spsa:samples=9,directions=orthogonal",
    "spsa:samples=17,sides=1,directions=orthogonal",
]


@pytest.mark.parametrize("name", ESTIMATORS, ids=str)
def test_estimator_keeps_its_promises(name):
    measured = check_estimator(name)
    declared = [promises(estimator(name), count) for count in (1, 3, 8)]
    assert ("it is exact on the polynomials it declares" in measured) == any(d.exact_degree for d in declared)
    assert ("it is unbiased on the polynomials it declares" in measured) == any(d.unbiased_degree for d in declared)
    assert "it makes as many probes as it declares" in measured


def test_an_estimator_without_promises_declares_nothing():
    class Silent:
        def estimate(self, problem: bg.Problem) -> Estimate:
            return Estimate(problem.point)

    assert promises_of(Silent(), 3) == Promises()
    assert promises_of(bg.FiniteDifference(), 3) == bg.FiniteDifference().promises(3) != Promises()


def test_what_is_not_declared_is_not_called_measured():
    measured = check_estimator(Wrong(bg.FiniteDifference()))
    assert not any("declares" in law for law in measured)


class Wrong:
    """Declares false promises."""

    def __init__(self, estimator_, **promises):
        self._estimator, self._promises = estimator_, Promises(**promises)

    def promises(self, parameters):
        return self._promises

    def estimate(self, problem):
        return self._estimator.estimate(problem)


class SharedDirections:
    """The published mistake: one random vector for every item of the batch."""

    def estimate(self, problem):
        signs = torch.randint(0, 2, (1, 1, problem.count), generator=problem.generator).double() * 2 - 1
        down, up = reach(problem, 0.01)
        ahead, behind = torch.where(signs > 0, up, down), torch.where(signs > 0, down, up)
        values = problem.probe(torch.cat([problem.point + ahead, problem.point + behind]).clamp(0, 1))
        slope = torch.nan_to_num(values[:1] - values[1:])
        return Estimate((slope[..., None] / (ahead - behind))[0])


class DividesByTwoEpsilon:
    """The published mistake: points are clipped to the box, the divisor is not."""

    def promises(self, parameters):
        return Promises(exact_degree=1)

    def estimate(self, problem):
        columns = []
        for i in range(problem.count):
            step = torch.zeros_like(problem.point)
            step[:, i] = 0.01
            ends = torch.stack([problem.point + step, problem.point - step]).clamp(0, 1)
            values = problem.probe(ends)
            columns.append((values[0] - values[1]) / 0.02)
        return Estimate(torch.stack(columns, dim=1))


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (Wrong(bg.FiniteDifference("forward"), exact_degree=2), "declared exact to degree 2"),
        (Wrong(bg.SPSA(2), probes=2), "made 4"),
        (Wrong(bg.StraightThrough(), unbiased_degree=1), "declared unbiased"),
        (SharedDirections(), "the same random directions"),
        (DividesByTwoEpsilon(), "declared exact to degree 1"),
    ],
)
def test_the_kit_finds_published_mistakes(mistake, said):
    with pytest.raises(CheckFailed, match=said):
        check_estimator(mistake)


@pytest.mark.parametrize("effect", ["gain", "soft-clip", "biquad"])
def test_finite_differences_through_an_effect_agree_with_autograd(effect):
    torch.manual_seed(0)
    layer = bg.DifferentiableEffect(f"reference:{effect}", estimator="finite-difference:step=0.001")
    x, cotangent = torch.randn(3, 2, 2000), torch.randn(3, 2, 2000)
    p = torch.rand(3, len(layer.parameter_space), requires_grad=True)
    (estimated,) = torch.autograd.grad((layer(x, p) * cotangent).sum(), p)
    (exact,) = torch.autograd.grad((differentiable(effect)(x, p) * cotangent).sum(), p)
    torch.testing.assert_close(estimated, exact, rtol=1e-2, atol=1e-2 * float(exact.abs().max()))


def test_a_surrogate_that_is_the_effect_gives_exact_gradients():
    torch.manual_seed(0)
    truth = differentiable("biquad")
    surrogate = bg.StraightThrough(truth)
    layer = bg.DifferentiableEffect("reference:biquad", estimator=surrogate, audio_gradient=surrogate)
    x = torch.randn(2, 1, 3000, requires_grad=True)
    p = torch.rand(2, 3, requires_grad=True)
    weight = torch.randn(2, 1, 3000)
    for estimated, exact in zip(
        torch.autograd.grad((layer(x, p) * weight).sum(), (x, p)),
        torch.autograd.grad((truth(x, p) * weight).sum(), (x, p)),
        strict=True,
    ):
        torch.testing.assert_close(estimated, exact)


def test_enough_orthogonal_directions_cancel_the_curvature_along_each_parameter():
    problem = bg.Problem.of_function(lambda p: (p**2).sum(-1), torch.full((3, 3), 0.4))
    one_sided = bg.SPSA(samples=4, sides=1, directions="orthogonal", step=0.1)
    torch.testing.assert_close(one_sided.estimate(problem).gradient, torch.full((3, 3), 0.8).double())


def test_steps_end_at_the_faces_and_are_whole_levels():
    space = bg.ParameterSpace([bg.Parameter("a"), bg.Parameter("b", "stepped", levels=11), bg.Parameter("c", "toggle", 0.0)])
    problem = bg.Problem.of_function(lambda p: p.sum(-1), torch.tensor([[0.004, 0.3, 1.0]]), space)
    down, up = reach(problem, 0.01)
    torch.testing.assert_close(down, torch.tensor([[-0.004, -0.1, -1.0]]).double(), atol=1e-7, rtol=0)
    torch.testing.assert_close(up, torch.tensor([[0.01, 0.1, 0.0]]).double(), atol=1e-7, rtol=0)


def test_every_parameter_can_have_a_step_of_its_own():
    space = bg.ParameterSpace([bg.Parameter("a"), bg.Parameter("b", "stepped", levels=11), bg.Parameter("c")])
    asked = []

    def watch(p):
        asked.append(p)
        return p.sum(-1)

    problem = bg.Problem.of_function(watch, torch.full((1, 3), 0.5), space)
    bg.SPSA(step={"a": 0.05, "b": 0.2}).estimate(problem)
    for points in asked[0]:
        torch.testing.assert_close((points - problem.point).abs(), torch.tensor([[0.05, 0.2, 0.01]]).double())
    with pytest.raises(ParameterError, match="no parameter 'd'"):
        bg.SPSA(step={"d": 0.1}).estimate(problem)
    with pytest.raises(EstimatorError, match="step=0 of 'a'"):
        bg.SPSA(step={"a": 0})


def test_a_problem_along_some_parameters_holds_the_others():
    def function(p):
        return p[..., 0] ** 2 + 10 * p[..., 1] + p[..., 0] * p[..., 2]

    problem = bg.Problem.of_function(function, torch.tensor([[0.2, 0.3, 0.4], [0.5, 0.6, 0.7]]))
    part = problem.along(["p2", "p0"])
    torch.testing.assert_close(part.value, function(problem.point))
    torch.testing.assert_close(bg.FiniteDifference().estimate(part).gradient, torch.tensor([[0.2, 0.8], [0.5, 1.7]]).double())
    assert (part.probes, problem.probes) == (4, 4)


def test_an_estimator_that_leaves_the_box_is_told_where():
    problem = bg.Problem.of_function(lambda p: p.sum(-1), torch.tensor([[0.0, 1.0]]))
    with pytest.raises(EstimatorError, match=r"'p1' = 1.01"):
        problem.probe(torch.tensor([[[0.0, 1.01]]]))


def test_estimators_come_by_name_with_options_and_from_third_parties(third_party):
    assert repr(estimator("spsa:samples=2,directions=orthogonal")) == (
        "SPSA(samples=2, sides=2, directions='orthogonal', step=0.01)"
    )
    found = estimator("third-party")
    problem = bg.Problem.of_function(lambda p: 3 * p.sum(-1), torch.tensor([[0.5]]))
    torch.testing.assert_close(found.estimate(problem).gradient, torch.tensor([[-3.0]]).double())
    assert repr(estimator("blackbox_grad.estimators.spsa.SPSA:samples=3")) == repr(bg.SPSA(samples=3))
    with pytest.raises(
        MissingDependencyError, match="needs no_such_package, which is not installed; install it from where its makers say"
    ):
        estimator("no_such_package.Mine")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("spas", "did you mean 'spsa'"),
        ("spsa:sample=2", "sample"),
        ("blackbox_grad.estimators.spsa.SPAS", "no attribute 'SPAS'"),
        ("spsa:samples", "name=value"),
        ("spsa:samples=0", "samples=0"),
        ("spsa:step=0.7", "step=0.7"),
        ("spsa:step=nan", "step='nan'"),
        ("spsa:sides=3", "sides=3"),
        ("finite-difference:scheme=middle", "'central' and 'forward'"),
        (42, "no method estimate"),
        (bg.SPSA, "give an instance: SPSA()"),
    ],
)
def test_a_wrong_estimator_says_what_is_right(wrong, said):
    with pytest.raises(EstimatorError) as caught:
        estimator(wrong)
    assert said in str(caught.value)


def test_probes_of_no_points_are_no_renders():
    layer = bg.DifferentiableEffect("reference:gain", host=bg.InProcessHost())

    class Empty:
        def estimate(self, problem):
            values, sounds = problem.probe_sounds(torch.empty(0, 2, 1))
            assert values.shape == (0, 2)
            assert sounds.shape == (0, 2, 1, 64)
            return Estimate(torch.zeros_like(problem.point))

    layer.estimator = Empty()
    x = torch.ones(2, 1, 64)
    layer.loss(x, torch.full((2, 1), 0.5, requires_grad=True), lambda y, t: (y - t).abs().mean((1, 2)), x).backward()


def test_an_inspected_estimator_is_asked_for_the_one_of_the_effect():
    class Adapts:
        def for_effect(self, spec):
            return bg.SPSA()

        def estimate(self, problem):
            raise AssertionError("the one for the effect is due")

    inspection = bg.Inspection("reference:gain", "gain", 44100.0, "mono", 0, parameters=())
    layer = bg.DifferentiableEffect("reference:gain", estimator=bg.Inspected(Adapts(), inspection), host=bg.InProcessHost())
    p = torch.full((1, 1), 0.5, requires_grad=True)
    layer(torch.ones(1, 1, 64), p).sum().backward()
    assert p.grad.item() != 0.0


def test_an_unknown_option_is_named_beside_the_known() -> None:
    with pytest.raises(EstimatorError, match=r"'spsa:sample=2': spsa has no option 'sample'; did you mean 'samples'"):
        estimator("spsa:sample=2")
