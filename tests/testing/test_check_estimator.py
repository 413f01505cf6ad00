"""`check_estimator` finds each broken promise; the pytest decorators make items of laws, with named expected failures."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import blackbox_grad as bg
from blackbox_grad.estimators import Estimate, Promises, reach
from blackbox_grad.testing import (
    ESTIMATOR_LAWS,
    CheckFailed,
    check_estimator,
    parametrize_estimators_with_checks,
    parametrize_with_checks,
)


class Differences:
    """Keeps every promise: one-sided differences along each parameter. The broken ones below change one thing."""

    step = 0.01

    def promises(self, parameters):
        return Promises(exact_degree=1, unbiased_degree=1, order=1, probes=parameters)

    def moved(self, problem):
        """`[P, B, P]`: one parameter moved in each."""
        down, up = reach(problem, self.step)
        steps = torch.where(up >= -down, up, down)
        return problem.point + torch.diag_embed(steps).transpose(0, 1)

    def travelled(self, problem, points):
        return torch.diagonal(points - problem.point, dim1=0, dim2=2)

    def estimate(self, problem):
        points = self.moved(problem)
        slopes = (problem.probe(points).T - problem.value[:, None]) / self.travelled(problem, points)
        return Estimate(torch.nan_to_num(slopes, nan=0.0))


class GivesNaN(Differences):
    def estimate(self, problem):
        found = super().estimate(problem)
        return Estimate(torch.where(problem.point == 0, torch.nan, found.gradient))


class RandomOfItsOwn(Differences):
    def estimate(self, problem):
        return Estimate(super().estimate(problem).gradient * torch.rand(()))


class ProbesTwice(Differences):
    def estimate(self, problem):
        problem.probe(problem.point[None])
        return super().estimate(problem)


class DividesByTheStep(Differences):
    """At the upper face the step goes down; the divisor does not."""

    def travelled(self, problem, points):
        return super().travelled(problem, points).abs()


class Shrinks(Differences):
    def promises(self, parameters):
        return Promises(unbiased_degree=1)

    def estimate(self, problem):
        return Estimate(0.9 * super().estimate(problem).gradient)


class HalvesAtFaces(Differences):
    """The published mistake: the points are clipped, the divisor stays 2ε; inside nothing is wrong."""

    def promises(self, parameters):
        return Promises(unbiased_degree=1)

    def estimate(self, problem):
        at_face = (problem.point < 0.01) | (problem.point > 0.99)
        return Estimate(torch.where(at_face, 0.5, 1.0) * super().estimate(problem).gradient)


class BoastsOfItsOrder(Differences):
    def promises(self, parameters):
        return Promises(order=2)


class MixesItems(Differences):
    def estimate(self, problem):
        gradient = super().estimate(problem).gradient
        return Estimate(gradient + 0.01 * gradient.mean(0))


class PassesNaNOn(Differences):
    def estimate(self, problem):
        points = self.moved(problem)
        return Estimate((problem.probe(points).T - problem.value[:, None]) / self.travelled(problem, points))


class ForgetsEverythingAtNaN(Differences):
    def estimate(self, problem):
        values = problem.probe(points := self.moved(problem))
        slopes = (values.T - problem.value[:, None]) / self.travelled(problem, points)
        return Estimate(slopes if torch.isfinite(slopes).all() else torch.zeros_like(slopes))


class ProbesBetweenLevels(Differences):
    def moved(self, problem):
        steps = torch.where(problem.point > 0.5, -self.step, self.step)
        return problem.point + torch.diag_embed(steps).transpose(0, 1)


class TakesEverythingForAFilter(Differences):
    """Exact by autograd, without an error for effects that clip."""

    def promises(self, parameters):
        return Promises(exact_audio=True)

    def estimate(self, problem):
        effect = problem.effect
        moved = effect.input.clone()
        columns = []
        for channel, sample in itertools.product(*map(range, moved.shape[1:])):
            moved[:, channel, sample] += 1
            change = effect.render(moved, problem.point) - effect.output
            columns.append((change * effect.cotangent).sum((1, 2)))
            moved[:, channel, sample] -= 1
        return Estimate(problem.point, torch.stack(columns, 1).reshape(moved.shape))


class CallsTheEffectTheIdentity(bg.StraightThrough):
    def promises(self, parameters):
        return Promises(exact_audio=True)

    def __repr__(self):
        return "CallsTheEffectTheIdentity"


class WrongShape(Differences):
    def estimate(self, problem):
        return Estimate(super().estimate(problem).gradient.T)


FILTERS = "its audio gradient is exact for filters, and an error for others"
KNOTS = "the knots of curves are told apart"


class TakesKnotsForTheirNeighbours(bg.Segments):
    """Its slopes are those of the next knots."""

    def estimate(self, problem):
        return Estimate(super().estimate(problem).gradient.roll(1, dims=-1))


BROKEN = {
    GivesNaN: "the gradient is finite and probes stay in the box",
    WrongShape: "the gradient is finite and probes stay in the box",
    RandomOfItsOwn: "equal seeds give equal gradients",
    ProbesTwice: "it makes as many probes as it declares",
    DividesByTheStep: "it is exact on the polynomials it declares",
    Shrinks: "it is unbiased on the polynomials it declares",
    HalvesAtFaces: "it is unbiased on affine functions at faces and corners",
    BoastsOfItsOrder: "its error falls with the declared order of the step",
    MixesItems: "items of a batch are independent",
    PassesNaNOn: "probes that are not finite are left out",
    ForgetsEverythingAtNaN: "probes that are not finite are left out",
    ProbesBetweenLevels: "stepped parameters are probed at whole levels",
    CallsTheEffectTheIdentity: FILTERS,
    TakesEverythingForAFilter: FILTERS,
    TakesKnotsForTheirNeighbours: KNOTS,
}


def test_an_estimator_that_keeps_its_promises_passes():
    kept = {
        *check_estimator(Differences()),
        *check_estimator(bg.LTI(), laws=[FILTERS]),
        *check_estimator(bg.Segments(), laws=[KNOTS]),
    }
    assert kept == {law.name for law in ESTIMATOR_LAWS}


@pytest.mark.parametrize(("kind", "law"), BROKEN.items(), ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_promise_is_found(kind, law):
    with pytest.raises(CheckFailed, match=kind.__name__):
        check_estimator(kind(), laws=[law])


def test_every_law_can_fail():
    assert set(BROKEN.values()) == {law.name for law in ESTIMATOR_LAWS}


def test_unknown_laws_are_refused():
    with pytest.raises(ValueError, match="no estimator law 'speed'; there are: the gradient is finite"):
        check_estimator("spsa", laws=["speed"])


@parametrize_estimators_with_checks(["spsa:samples=2", bg.FiniteDifference()])
def test_the_decorator_makes_an_item_of_every_law(estimator, check):
    check(estimator)


PASSES_SUDDENLY = """
import torch
from blackbox_grad import Estimate
from blackbox_grad.testing import parametrize_estimators_with_checks, parametrize_with_checks

LAW = "equal seeds give equal gradients"

@parametrize_estimators_with_checks(["spsa"], {"spsa": {LAW: "was thought to be broken"}})
def test_estimators(estimator, check):
    check(estimator)

class Unseeded:
    def __repr__(self):
        return "unseeded"

    def estimate(self, problem):
        return Estimate(torch.rand_like(problem.point))

@parametrize_estimators_with_checks([Unseeded()], {"unseeded": {LAW: "it is"}})
def test_known(estimator, check):
    if check.keywords["laws"] == (LAW,):
        check(estimator)

@parametrize_with_checks(["reference:gain"], {"reference:gain": {"latency is taken out": "was thought to be broken"}})
def test_effects(effect, check):
    check(effect)
"""


@pytest.mark.slow
def test_an_expected_failure_that_passes_is_reported(tmp_path):
    (tmp_path / "test_sample.py").write_text(PASSES_SUDDENLY)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-q", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, cwd=Path(tmp_path))
    assert done.returncode == 1
    assert "2 failed" in done.stdout
    assert "1 xfailed" in done.stdout
    assert "FAILED test_sample.py::test_estimators[spsa-equal seeds give equal gradients]" in done.stdout
    assert "FAILED test_sample.py::test_effects[reference:gain-latency is taken out]" in done.stdout
    assert done.stdout.count("[XPASS(strict)] was thought to be broken") >= 2


@pytest.mark.parametrize(
    ("decorate", "subject", "expected", "said"),
    [
        (parametrize_estimators_with_checks, "spsa", {"spsa": {"fast": "why"}}, "no estimator law 'fast'; there are: the grad"),
        (parametrize_estimators_with_checks, "spsa", {"spas": {}}, "'spas' is not among the estimators: spsa"),
        (
            parametrize_with_checks,
            "reference:gain",
            {"reference:gain": {"loud": "why"}},
            "no effect law 'loud'; there are: same",
        ),
        (parametrize_with_checks, "reference:gain", {"gain": {}}, "'gain' is not among the effects: reference:gain"),
    ],
)
def test_expected_failures_of_unknown_names_are_refused(decorate, subject, expected, said):
    with pytest.raises(ValueError, match="expected_failures") as caught:
        decorate([subject], expected)
    assert said in str(caught.value)
