"""Does an estimator keep its promises? `check_estimator` measures it on polynomials and smooth functions with known gradients."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.effects.curves import Curves
from blackbox_grad.errors import EstimatorError
from blackbox_grad.estimators.base import Estimator, Promises
from blackbox_grad.estimators.by_name import estimator as find_estimator
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.parameters.knots import Knot, Shape
from blackbox_grad.parameters.parameter import Parameter
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.testing.examination import CheckFailed
from blackbox_grad.testing.polynomials import Polynomial

#: An unbiased estimator fails a statistical law with less than this probability. Laws are seeded, so a verdict repeats.
FALSE_ALARM = 1e-6

#: Two-sided standard score of that error rate.
_SCORE = 4.9

_BATCH = 6


@dataclass(frozen=True)
class EstimatorLaw:
    """One law: a sentence, and the function that raises `CheckFailed` if it does not hold.

    The function returns False if there was nothing to measure, because the estimator declares nothing of the kind.
    """

    name: str
    holds: Callable[[Estimator, int], bool]


def check_estimator(
    estimator: str | Estimator, parameters: tuple[int, ...] = (1, 3, 8), *, laws: Iterable[str] | None = None
) -> list[str]:
    """Measure every law on an estimator.

    Args:
        estimator: an estimator, or its name with options ("spsa:samples=2").
        parameters: the numbers of parameters `P` to try.
        laws: names from `ESTIMATOR_LAWS`; all of them if None.

    Returns:
        The names of the measured laws. What is not declared is not measured: for an estimator without `promises`, no law
            checks that its gradient is right.

    Raises:
        CheckFailed: with the estimator, the law and the numbers.
    """
    known = {law.name: law for law in ESTIMATOR_LAWS}
    chosen = list(known) if laws is None else list(laws)
    unknown = [law for law in chosen if law not in known]
    if unknown:
        raise ValueError(f"no estimator law {unknown[0]!r}; there are: {', '.join(known)}")
    found = find_estimator(estimator)
    return [law for law in chosen if any([known[law].holds(found, count) for count in parameters])]  # noqa: C419 - all of them


def promises(estimator: Any, parameters: int) -> Promises:
    """The promises of the estimator for `P` parameters; none if it has no `promises`."""
    declare = getattr(estimator, "promises", None)
    declared: Promises = Promises() if declare is None else declare(parameters)
    return declared


def _smooth(p: Tensor) -> Tensor:
    phases = torch.arange(p.shape[-1], dtype=p.dtype)
    return torch.sin(1.5 * p + phases).sum(-1) + torch.exp(p.mean(-1))


def _points(parameters: int, seed: int = 0) -> Iterator[tuple[str, Tensor]]:
    """Places in the box where an estimator can go wrong."""
    generator = torch.Generator().manual_seed(seed)
    inside = torch.rand(_BATCH, parameters, generator=generator, dtype=torch.float64)
    yield "inside", 0.3 + 0.4 * inside
    yield "at a lower corner", torch.zeros_like(inside)
    yield "at an upper corner", torch.ones_like(inside)
    yield "near a face", 0.001 * inside
    yield "at a mixed corner", torch.round(inside)
    yield "anywhere", torch.where(torch.rand(inside.shape, generator=generator) < 0.3, torch.round(inside), inside)


def _estimate(estimator: Estimator, problem: Problem) -> Tensor:
    """Estimate with a copy: an estimator may have state, and every law starts from the state in which it was given."""
    try:
        estimator = copy.deepcopy(estimator)
    except Exception as error:
        raise CheckFailed(f"{estimator!r} cannot be copied, as layers are: {error}; give it a __deepcopy__") from error
    gradient = estimator.estimate(problem).gradient
    if gradient.shape != problem.point.shape:
        raise CheckFailed(f"{estimator!r} returned a gradient of shape {list(gradient.shape)}, not {list(problem.point.shape)}")
    return gradient


def _seeded(function: Callable[[Tensor], Tensor], point: Tensor, seed: int = 0, space: ParameterSpace | None = None) -> Problem:
    return Problem.of_function(function, point, space, seed)


def _finite_and_inside(estimator: Estimator, parameters: int) -> bool:
    for place, point in _points(parameters):  # a probe outside the box raises an error
        gradient = _estimate(estimator, _seeded(_smooth, point))
        if not torch.isfinite(gradient).all():
            raise CheckFailed(f"{estimator!r}: the gradient {place} is not finite: {gradient.tolist()}")
    return True


def _equal_seeds(estimator: Estimator, parameters: int) -> bool:
    _, point = next(_points(parameters))
    first, second = (_estimate(estimator, _seeded(_smooth, point, seed=5)) for _ in range(2))
    if not torch.equal(first, second):
        raise CheckFailed(f"{estimator!r}: equal seeds gave gradients that differ by {float((first - second).abs().max()):g}")
    return True


def _number_of_probes(estimator: Estimator, parameters: int) -> bool:
    declared = promises(estimator, parameters).probes
    if declared is None:
        return False
    _, point = next(_points(parameters))
    problem = _seeded(_smooth, point)
    _estimate(estimator, problem)
    if problem.probes != declared:
        raise CheckFailed(f"{estimator!r}: declares {declared} probes for {parameters} parameters and made {problem.probes}")
    return True


def _exact(estimator: Estimator, parameters: int) -> bool:
    degree = promises(estimator, parameters).exact_degree
    if degree < 1:
        return False
    for place, point in _points(parameters):
        function = Polynomial.draw(degree, _BATCH, parameters, seed=1)
        error = float((_estimate(estimator, _seeded(function, point)) - function.gradient(point)).abs().max())
        if not error < 1e-6:
            raise CheckFailed(
                f"{estimator!r}: declared exact to degree {degree}; the error {place} is {error:g}, P = {parameters}"
            )
    return True


def _unbiased(estimator: Estimator, parameters: int) -> bool:
    degree = promises(estimator, parameters).unbiased_degree
    if degree < 1:
        return False
    middle = torch.full((1, parameters), 0.5, dtype=torch.float64)
    _mean_is_the_gradient(estimator, Polynomial.draw(degree, 1, parameters, seed=2), middle, f"to degree {degree}")
    return True


def _unbiased_at_faces(estimator: Estimator, parameters: int) -> bool:
    """If points are clipped but the divisor is not, the gradient there is halved."""
    if promises(estimator, parameters).unbiased_degree < 1:
        return False
    function = Polynomial.draw(1, 1, parameters, seed=3)
    for place, point in _points(parameters):
        if place != "inside":
            _mean_is_the_gradient(estimator, function, point[:1], f"on affine functions {place}")
    return True


def _mean_is_the_gradient(estimator: Estimator, function: Polynomial, point: Tensor, where: str) -> None:
    draws = 4000
    wide = Polynomial(*(t.expand(draws, *t.shape[1:]) for t in (function.constant, function.linear, function.quadratic)))
    estimates = _estimate(estimator, _seeded(wide, point.expand(draws, -1).contiguous()))
    error = (estimates.mean(0) - function.gradient(point)[0]).abs()
    allowed = _SCORE * estimates.std(0) / math.sqrt(draws) + 1e-8
    if (error > allowed).any():
        raise CheckFailed(
            f"{estimator!r}: declared unbiased {where}; the mean of {draws} estimates is off by {error.tolist()}, "
            f"chance allows {allowed.tolist()} (error rate {FALSE_ALARM:g})"
        )


def _items_independent(estimator: Estimator, parameters: int) -> bool:
    """Another function for item 1 does not change the gradient of item 0, and items do not share random directions."""
    _, point = next(_points(parameters))
    scale = torch.ones(_BATCH, dtype=torch.float64)
    scale[1:] = 7.0
    alone = _estimate(estimator, _seeded(_smooth, point))
    beside = _estimate(estimator, _seeded(lambda p: _smooth(p) * scale, point))
    if not torch.allclose(alone[0], beside[0], rtol=1e-9, atol=1e-12):
        raise CheckFailed(f"{estimator!r}: the gradient of item 0 changed with the function of the others")
    same = point[:1].expand(_BATCH, -1).contiguous()
    asked: list[Tensor] = []

    def watch(p: Tensor) -> Tensor:
        asked.append(p - same)
        return _smooth(p)

    first = _estimate(estimator, _seeded(watch, same, seed=1))
    second = _estimate(estimator, _seeded(_smooth, same, seed=2))
    random = not torch.allclose(first, second)
    if random and parameters >= 8 and all(torch.allclose(a, a[:, :1].expand_as(a)) for a in asked):
        raise CheckFailed(f"{estimator!r}: every item of the batch got the same random directions")
    return True


def _nonfinite_survived(estimator: Estimator, parameters: int) -> bool:
    _, point = next(_points(parameters))
    calls = 0

    def spoiled(p: Tensor) -> Tensor:
        nonlocal calls
        values = _smooth(p)
        if p.shape[0] != 1 or calls:  # the value at the point itself stays finite
            values = values.clone()
            values[..., 0] = torch.nan
        calls += 1
        return values

    problem = _seeded(spoiled, point)
    _ = problem.value
    gradient = _estimate(estimator, problem)
    clean = _estimate(estimator, _seeded(_smooth, point))
    if not torch.isfinite(gradient).all():
        raise CheckFailed(f"{estimator!r}: NaN probes changed the gradient to {gradient.tolist()}")
    if not torch.allclose(gradient[1:], clean[1:], rtol=1e-9, atol=1e-12):
        raise CheckFailed(f"{estimator!r}: NaN probes of item 0 changed the gradients of other items")
    return True


def _whole_levels(estimator: Estimator, parameters: int) -> bool:
    """Between two levels of a stepped parameter nothing changes: a probe there measures a difference of zero."""
    kinds = [Parameter("a", "stepped", 0.0, levels=5), Parameter("b", "toggle", 0.0), Parameter("c")]
    space = ParameterSpace([kinds[i % 3] for i in range(parameters)])
    steps = torch.tensor(space.steps)
    stepped = steps > 0
    for _, point in _points(parameters):

        def watch(p: Tensor) -> Tensor:
            levels = p[..., stepped] / steps[stepped]
            if not torch.allclose(levels, levels.round(), atol=1e-6):
                raise CheckFailed(f"{estimator!r} probed between two levels of a stepped parameter")
            return _smooth(p)

        _estimate(estimator, _seeded(watch, point, space=space))
    return True


def _order(estimator: Any, parameters: int) -> bool:
    """The error falls with the declared power of the step; for a random estimator, the error of its mean does."""
    order = promises(estimator, parameters).order
    if order is None or not hasattr(estimator, "step"):
        return False
    draws = 20000
    point = torch.full((1, parameters), 0.4, dtype=torch.float64)
    wanted = torch.func.grad(lambda p: _smooth(p).sum())(point)[0]
    errors = []
    steps = (0.2, 0.1)
    for step in steps:
        other = copy.copy(estimator)
        other.step = step
        problem = _seeded(_smooth, point.expand(draws, -1))
        estimates = _estimate(other, problem)
        noise = float(estimates.std(0).max()) / math.sqrt(draws)
        errors.append(float((estimates.mean(0) - wanted).abs().max()))
        if errors[-1] < 3 * noise:  # chance hides the bias: there is nothing to fit
            return False
    fitted = math.log(errors[0] / errors[1]) / math.log(steps[0] / steps[1])
    if fitted < order - 0.5:
        raise CheckFailed(f"{estimator!r}: declares an error of order {order}; fitted from steps {steps}: {fitted:.2f}")
    return True


def _exact_audio(estimator: Estimator, parameters: int) -> bool:
    """Exact on filters with crosstalk, lookahead and a sound of their own. An error if the effect clips or modulates."""
    if not promises(estimator, parameters).exact_audio:
        return False
    channels, length = 2, 60
    generator = torch.Generator().manual_seed(4)
    x, cotangent = torch.randn(2, _BATCH, channels, length, generator=generator)
    kernels = torch.randn(2, channels, channels, 2 * length - 1, generator=generator)
    own = torch.randn(channels, length, generator=generator)
    _, point = next(_points(parameters))
    point[1] = point[0]  # two recordings at one setting

    def filtered(x: Tensor, p: Tensor) -> Tensor:
        dry, wet = (torch.nn.functional.conv1d(x, kernel, padding=length - 1) for kernel in kernels)
        return dry + p.mean(1).to(x)[:, None, None] * wet + own

    input_audio = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad((filtered(input_audio, point) * cotangent).sum(), input_audio)
    found = estimator.estimate(Problem.of_effect(filtered, x, point, cotangent)).audio
    error = math.inf if found is None else float((found - expected).norm() / expected.norm())
    if not error < 1e-4:
        raise CheckFailed(f"{estimator!r}: declared exact for the audio of filters; the relative error is {error:g}")
    others: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "clips": lambda x, p: torch.tanh(4 * x),
        "modulates": lambda x, p: x * torch.cos(0.7 * torch.arange(length)),
    }
    for does, effect in others.items():
        try:
            estimator.estimate(Problem.of_effect(effect, x, point, cotangent))
        except EstimatorError:
            continue
        raise CheckFailed(f"{estimator!r}: declared to refuse effects that are not filters; it accepted one that {does}")
    return True


def _knots_are_told_apart(estimator: Any, parameters: int) -> bool:
    """Exact on a filter of known memory with two moving gains and a constant one, all knots in few probes."""
    if not promises(estimator, parameters).segments:
        return False
    shapes: tuple[Shape, ...] = ("linear", "held")
    for shape in shapes:
        function, space, memory, groups = _filter_that_moves(shape)
        point = 0.2 + 0.6 * torch.rand(2, len(space), generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        x, cotangent = torch.randn(2, 2, 1, _SAMPLES, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
        free = point.clone().requires_grad_()
        (expected,) = torch.autograd.grad((function(x, free) * cotangent).sum(), free)
        other = copy.deepcopy(estimator)
        other.memory, other.samples = memory, 10**6
        problem = Problem.of_effect(function, x, point, cotangent, space=space, sample_rate=_RATE)
        error = float((other.estimate(problem).gradient - expected).norm() / expected.norm())
        if not error < 1e-6:
            raise CheckFailed(
                f"{estimator!r}: declared exact for {shape} curves of affine effects; the relative error is {error:g}"
            )
        if problem.probes != groups:
            raise CheckFailed(f"{estimator!r}: {problem.probes} probes for {shape} curves of which {groups} suffice")
        # with fewer probes it is right on average
        draws = 400
        other.samples, wide = 3, (t.repeat(draws, *(1,) * (t.ndim - 1)) for t in (x[:1], point[:1], cotangent[:1]))
        audio, points, weights = wide
        problem = Problem.of_effect(function, audio, points, weights, space=space, sample_rate=_RATE)
        found = other.estimate(problem).gradient
        off = (found.mean(0) - expected[0]).abs()
        if (off > _SCORE * found.std(0) / math.sqrt(draws) + 1e-8).any():
            raise CheckFailed(
                f"{estimator!r}: with 3 probes, the mean of {draws} estimates for {shape} curves is off by {off.tolist()}"
            )
    return True


#: Hz and samples of the effect of that law, and knots of its curves.
_RATE, _SAMPLES, _KNOTS = 100.0, 120, 8


def _filter_that_moves(shape: Shape) -> tuple[Callable[[Tensor, Tensor], Tensor], ParameterSpace, float, int]:
    """`f(x, p)`, affine in its settings; its parameters, its memory in seconds, and the groups of knots that can be told apart."""
    curves = Curves((), _KNOTS, _SAMPLES / _RATE, shape)
    knots = [
        Parameter(f"{name}{at}", knot=Knot(name, float(t), shape))
        for name in "ab"
        for at, t in zip(curves.names, curves.times, strict=True)
    ]
    space = ParameterSpace([*knots, Parameter("c")])
    weights = torch.from_numpy(
        curves.at_blocks(np.eye(_KNOTS), _SAMPLES, 1, _RATE)
    )  # [M, T]: what each knot adds to each sample
    response = torch.exp(-torch.arange(20, dtype=torch.float64) / 5.0)

    def filtered(x: Tensor, p: Tensor) -> Tensor:
        a, b, c = p[:, :_KNOTS] @ weights, p[:, _KNOTS:-1] @ weights, p[:, -1:]
        inside = torch.nn.functional.pad(x * a[:, None], (len(response) - 1, 0))
        wet = torch.nn.functional.conv1d(inside, response.flip(0)[None, None])
        return wet + x * b[:, None] + x * c[:, None]

    stride = math.ceil((len(response) - 1) / _RATE / curves.spacing - 0.1) + (2 if shape == "linear" else 1)
    return filtered, space, (len(response) - 1) / _RATE, 2 * stride + 1


ESTIMATOR_LAWS = (
    EstimatorLaw("the gradient is finite and probes stay in the box", _finite_and_inside),
    EstimatorLaw("equal seeds give equal gradients", _equal_seeds),
    EstimatorLaw("it makes as many probes as it declares", _number_of_probes),
    EstimatorLaw("it is exact on the polynomials it declares", _exact),
    EstimatorLaw("it is unbiased on the polynomials it declares", _unbiased),
    EstimatorLaw("it is unbiased on affine functions at faces and corners", _unbiased_at_faces),
    EstimatorLaw("its error falls with the declared order of the step", _order),
    EstimatorLaw("items of a batch are independent", _items_independent),
    EstimatorLaw("probes that are not finite are left out", _nonfinite_survived),
    EstimatorLaw("stepped parameters are probed at whole levels", _whole_levels),
    EstimatorLaw("the knots of curves are told apart", _knots_are_told_apart),
    EstimatorLaw("its audio gradient is exact for filters, and an error for others", _exact_audio),
)
