"""The measurements of one parameter: whether it is audible, a sweep, its steps, and how good differences along it are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from blackbox_grad.effects.repeatability import relative_error
from blackbox_grad.inspection import noise as noises
from blackbox_grad.inspection.differences import Differences, agreements_of, noise_of, starts_on
from blackbox_grad.inspection.effort import Effort
from blackbox_grad.inspection.renders import Renders
from blackbox_grad.inspection.resolution import resolution
from blackbox_grad.inspection.results import ParameterInspection, ProbeKind
from blackbox_grad.inspection.sweep import FEW, Line
from blackbox_grad.parameters.parameter import FloatArray

#: Moves of a parameter by an optimiser, about. A linearised loss must be good over these. (Over less, noise may hide it.)
MOVES = (0.01, 0.03)

#: It is good if the cosine between the changes that it predicts and the true ones is at least this.
TRUSTED = 0.8

#: Values that are rendered to find whether a parameter is audible.
_LISTENED = (0.0, 1.0, 0.37)

#: The relative rounding error of a loss in float32.
_ROUNDING = 2.0**-24

#: Bounds of the recommended steps: below, float32 parameters are not resolved; above, nothing is local.
_SHORTEST, _LONGEST = 1e-5, 0.1

#: A step that fits into the box from every point, for parameters with very few settings.
_HALFWAY = 0.5

#: If two steps of loss probes point toward the target equally often, up to this difference, the shorter is better.
_AS_OFTEN = 0.02


def bases(renders: Renders) -> list[FloatArray]:
    """Settings around which parameters are tried, best first: the defaults, the middle, and others."""
    rng, count = np.random.default_rng(1), len(renders.space)
    return [renders.space.snap(p) for p in (renders.space.defaults, np.full(count, 0.5), *rng.uniform(size=(3, count)))]


def effects_of(renders: Renders, indices: Sequence[int], base: FloatArray) -> Iterator[tuple[int, float]]:
    """The largest change of the output by each of these parameters around `base`, relative to the output."""
    expected = renders(base[None])[0][0]
    for i in indices:
        points = np.repeat(base[None], len(_LISTENED), axis=0)
        points[:, i] = _LISTENED
        yield i, max(relative_error(expected, y) for y in renders(points)[0])


@dataclass(frozen=True)
class Looked:
    """A parameter after the first look, and the differences from which its steps are computed once its noise is known."""

    found: ParameterInspection
    differences: tuple[Differences, ...]


def look(renders: Renders, index: int, base: FloatArray, tolerance: float, effort: Effort) -> Looked:
    """What parameter `index` does around `base`, where it is audible, and which probes suit it."""
    parameter = renders.space[index]
    line = Line(renders, index, base, tolerance)
    sweep = line.sweep(np.linspace(0.0, 1.0, min(effort.values, parameter.levels or effort.values)))
    found = ParameterInspection(
        parameter.name,
        parameter.kind,
        reaches_sound=True,
        influence=sweep.influence,
        regions=sweep.regions(),
        curve=sweep.curve,
        around=line.around(),
    )
    distances = effort.steps
    if parameter.levels is not None:
        distances = (parameter.step,)
        found = replace(
            found, steps=sweep.distinct, resolution=parameter.step, step=parameter.step, central_step=parameter.step
        )
    differences = tuple(start.differences(line, distances) for start in starts_on(line, sweep, effort.starts))
    differences = tuple(d for d in differences if d.finite)
    if not differences:
        return Looked(replace(found, note="too little of its range sounds to compare differences"), ())
    agreements = agreements_of(differences, distances)
    known = [(a.step, a.linear) for a in agreements if a.linear is not None]
    over_a_move = [linear for step, linear in known if step in MOVES] or [linear for _, linear in known[:1]]
    if not over_a_move:
        return Looked(replace(found, agreements=agreements, note="nothing changes where differences were taken"), ())
    probe_kind: ProbeKind = "cotangent" if min(over_a_move) >= TRUSTED else "loss"
    return Looked(replace(found, agreements=agreements, probe_kind=probe_kind), differences)


def refine(
    renders: Renders, looked: Looked, index: int, base: FloatArray, tolerance: float, effort: Effort
) -> ParameterInspection:
    """Its true resolution, its noise and curvature, and the steps that follow."""
    found, line = looked.found, Line(renders, index, base, tolerance)
    if renders.space[index].levels is not None:
        return found
    few = line.sweep(np.linspace(0.0, 1.0, FEW))
    steps = resolution(lambda values: list(line.render(values, few.signal)[0]), line.differs, effort.places, effort.rungs)
    found = replace(found, steps=steps.steps, resolution=steps.widest)
    resolved = min(2.0 * steps.widest, _HALFWAY)
    if found.probe_kind is None:
        if steps.steps is None:
            return found
        # no difference crossed the edge of a step: take one that does, and loss probes, which are never wrong
        return replace(found, step=resolved, central_step=resolved, probe_kind="loss", note="")
    noise = noise_of(line, starts_on(line, few, effort.starts), found.probe_kind, effort.spacings)
    known = max(noise or 0.0, _ROUNDING)
    every = [d for differences in looked.differences for d in differences.derivatives(found.probe_kind, known)]
    second, third = (float(np.median([getattr(d, order) for d in every])) for order in ("second", "third"))
    if found.probe_kind == "loss":
        # the optimum for the derivative gives the slope of a ripple; the direction to the target is what counts
        often = max(a.loss for a in found.agreements) - _AS_OFTEN
        forward = central = next(a.step for a in found.agreements if a.loss >= often)
    else:
        forward, central = noises.forward_step(known, second), noises.central_step(known, third)
    shortest = max(_SHORTEST, resolved, _trusted_from(found) if found.probe_kind == "cotangent" else 0.0)
    bounds = shortest, max(_LONGEST, shortest)
    forward, central = (float(np.clip(step, *bounds)) for step in (forward, central))
    return replace(found, noise=noise, curvature=second, step=forward, central_step=central)


def _trusted_from(found: ParameterInspection) -> float:
    """The smallest step from which cotangents are trusted up to a move; 0 if they are at every step."""
    doubtful = [a.step for a in found.agreements if a.step < MOVES[0] and a.linear is not None and a.linear < TRUSTED]
    return min(a.step for a in found.agreements if a.step > max(doubtful)) if doubtful else 0.0
