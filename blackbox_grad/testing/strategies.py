"""Hypothesis strategies for the inputs of effects and estimators: parameters, points, audio, problems.

    from hypothesis import given
    from blackbox_grad.testing import strategies

    @given(drawn=strategies.problems(degree=2))
    def test_mine_is_exact_on_quadratics(drawn):
        assert torch.allclose(Mine().estimate(drawn.problem()).gradient, drawn.gradient)

They favour inputs that go wrong: faces and corners of the box, values very near a face, the levels of stepped parameters, silence,
impulses, a single sample. Only this module needs Hypothesis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from blackbox_grad.dependencies import missing_dependency
from blackbox_grad.effects.audio import Audio
from blackbox_grad.estimators.problem import Problem
from blackbox_grad.parameters.parameter import FloatArray, Kind, Parameter
from blackbox_grad.parameters.space import ParameterSpace
from blackbox_grad.testing.polynomials import Polynomial

try:
    from hypothesis import strategies as st
    from hypothesis.extra import numpy as arrays
except ModuleNotFoundError as error:
    raise missing_dependency(error, "blackbox_grad.testing.strategies") from error

KINDS: tuple[Kind, ...] = ("continuous", "stepped", "toggle")

#: Distance from a face that counts as near it.
NEAR = 1e-3

_NAMES = st.text("abcdefghij -_2", min_size=1, max_size=8)
_UNITS = st.sampled_from(["", "Hz", "dB", "ms", "s", "%"])
_POSITIVE = st.floats(1e-2, 1e4)


@st.composite
def parameters(draw: st.DrawFn, kinds: Sequence[Kind] = KINDS) -> Parameter:
    """One control of any of these kinds, with any default, native range (rising or falling), unit and scale."""
    kind = draw(st.sampled_from(list(kinds)))
    name, unit = draw(_NAMES), draw(_UNITS)
    default = draw(_near_faces())
    if kind == "toggle":
        return Parameter(name, kind, float(round(default)))
    if kind == "stepped":
        levels = draw(st.integers(2, 12))
        named = draw(st.booleans())
        choices = tuple(f"choice {i}" for i in range(levels)) if named else ()
        ends = draw(_ends(st.integers(-100, 100).map(float)))
        parameter = Parameter(name, kind, default, levels, *ends, unit, choices=choices)
        return Parameter(name, kind, parameter.snap(default), levels, *ends, unit, choices=choices)
    scale = draw(st.sampled_from(["linear", "log", "table"]))
    ends = draw(_ends(_POSITIVE if scale == "log" else st.floats(-1e4, 1e4)))
    table = tuple(float(v) for v in np.linspace(*ends, draw(st.integers(2, 9)))) if scale == "table" else ()
    return Parameter(name, kind, default, None, *ends, unit, scale, table)  # type: ignore[arg-type]


@st.composite
def parameter_spaces(
    draw: st.DrawFn, kinds: Sequence[Kind] = KINDS, min_size: int = 1, max_size: int = 6, held: bool = False
) -> ParameterSpace:
    """A space with `min_size` to `max_size` free parameters of these kinds.

    Args:
        kinds: of the free parameters.
        min_size, max_size: the number `P` of free ones.
        held: whether held parameters may stand among the free ones, which are then in any order.
    """
    free = draw(st.lists(parameters(kinds), min_size=min_size, max_size=max_size))
    if not held:
        return ParameterSpace(free)
    others = draw(st.lists(parameters(), max_size=3))
    order = draw(st.permutations(range(len(free) + len(others))))
    everything: list[Parameter] = [*free, *others]
    for place, parameter in zip(order, [*free, *others], strict=True):
        everything[place] = parameter
    return ParameterSpace(everything, order[: len(free)])


def points(space: ParameterSpace, batch: int | None = None) -> st.SearchStrategy[FloatArray]:
    """`[P]`, or `[batch, P]`: points of the box, stepped parameters at one of their levels."""
    one = st.one_of(_corners(space), st.tuples(*(_value(p) for p in space))).map(lambda v: np.array(v, dtype=np.float64))
    if batch is None:
        return one
    return st.lists(one, min_size=batch, max_size=batch).map(lambda rows: np.stack(rows))


@st.composite
def audio(draw: st.DrawFn, channels: Sequence[int] = (1, 2), min_samples: int = 1, max_samples: int = 2048) -> Audio:
    """`[C, T] float32` in [-1, 1]: noise of any loudness, silence, impulses; often very short."""
    count = draw(st.sampled_from(list(channels)))
    short = st.integers(min_samples, min(max_samples, min_samples + 16))
    samples = draw(st.one_of(short, st.integers(min_samples, max_samples)))
    result = np.zeros((count, samples), np.float32)
    kind = draw(st.sampled_from(["silence", "impulses", "noise"]))
    if kind == "noise":
        generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        level = draw(st.sampled_from([1e-4, 0.1, 1.0]))
        result[:] = level * generator.uniform(-1.0, 1.0, result.shape)
    elif kind == "impulses" and samples:
        for place in draw(st.lists(st.integers(0, samples - 1), min_size=1, max_size=4)):
            result[:, place] = draw(st.sampled_from([1.0, -1.0, 0.25]))
    return result


@dataclass(frozen=True)
class PolynomialProblem:
    """A problem whose gradient is known.

    Attributes:
        function: the polynomial `φ`, with different coefficients for each item.
        point: `[B, P]`, stepped parameters at a level.
        space: kinds of the parameters.
        seed: of the generator.
    """

    function: Polynomial
    point: Tensor
    space: ParameterSpace
    seed: int

    def problem(self) -> Problem:
        """A new `Problem` every time, with its random generator at the start."""
        return Problem.of_function(self.function, self.point, self.space, self.seed)

    @property
    def gradient(self) -> Tensor:
        """`[B, P]`: the true gradient."""
        return self.function.gradient(self.point)


@st.composite
def problems(
    draw: st.DrawFn, degree: int = 1, kinds: Sequence[Kind] = ("continuous",), max_batch: int = 3, max_parameters: int = 5
) -> PolynomialProblem:
    """Polynomials of total degree at most `degree` (0, 1 or 2), anywhere in the box.

    Args:
        degree: 0: constant, 1: affine, 2: quadratic.
        kinds: of the parameters. A toggle has only two values, which do not determine the gradient of a quadratic function.
        max_batch, max_parameters: the largest `B` and `P`.
    """
    if degree not in (0, 1, 2):
        raise ValueError(f"problems: degree={degree!r} must be 0, 1 or 2")
    batch = draw(st.integers(1, max_batch))
    space = draw(parameter_spaces(kinds, max_size=max_parameters))
    count = len(space)
    point = torch.from_numpy(draw(points(space, batch)))

    def coefficients(*shape: int) -> Tensor:
        whole = st.integers(-4, 4).map(float)
        return torch.from_numpy(draw(arrays.arrays(np.float64, shape, elements=whole)))

    linear = coefficients(batch, count) if degree >= 1 else torch.zeros(batch, count, dtype=torch.float64)
    half = coefficients(batch, count, count) if degree >= 2 else torch.zeros(batch, count, count, dtype=torch.float64)
    function = Polynomial(coefficients(batch), linear, half + half.transpose(1, 2))
    return PolynomialProblem(function, point, space, draw(st.integers(0, 2**31 - 1)))


def _near_faces() -> st.SearchStrategy[float]:
    """A value in [0, 1], often at or near an end."""
    return st.one_of(
        st.sampled_from([0.0, 1.0]),
        st.floats(0.0, NEAR),
        st.floats(1.0 - NEAR, 1.0),
        st.floats(0.0, 1.0),
    )


def _value(parameter: Parameter) -> st.SearchStrategy[float]:
    if parameter.levels is None:
        return _near_faces()
    last = parameter.levels - 1
    return st.integers(0, last).map(lambda level: level / last)


def _corners(space: ParameterSpace) -> st.SearchStrategy[tuple[float, ...]]:
    return st.tuples(*(st.sampled_from([0.0, 1.0]) for _ in space))


def _ends(values: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[float, float]]:
    """A native range that is not empty, rising or falling."""
    return st.tuples(values, values).filter(lambda ends: abs(ends[0] - ends[1]) > 1e-2)
