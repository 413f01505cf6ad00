"""Laws of effects whose settings move, which `check_effect` checks beside those of effects."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import numpy as np

from blackbox_grad.effects.automation import Moving
from blackbox_grad.effects.opening import SelectedEffect
from blackbox_grad.effects.protocols import Effect
from blackbox_grad.parameters.parameter import FloatArray
from blackbox_grad.parameters.rows import Row, rows
from blackbox_grad.testing.examination import SLACK, Examination, Law, relative_error

#: Points at which constant curves are compared with constant settings.
_POINTS = 3

#: A small move, normalised, and the largest relative difference that it may make: a lost state makes far more.
_SMALL, _SMALL_ERROR = 1e-4, 0.1


def moves(effect: Effect) -> bool:
    """Whether settings of this effect are curves."""
    return isinstance(effect, SelectedEffect) and effect.still is not None


def _curves(law: Callable[[Examination, SelectedEffect, Moving, list[Row]], None]) -> Callable[[Examination], None]:
    """A law of an effect, the same effect with constant settings, and the controls behind the effect's parameters."""

    @wraps(law)
    def of(exam: Examination) -> None:
        effect = exam.effect
        assert isinstance(effect, SelectedEffect)
        exam.require(effect.still is not None, "its settings do not move; check Automated(…)")
        assert effect.still is not None
        law(exam, effect, effect.still, rows(effect.parameters))

    return of


def _spread(constant: FloatArray, controls: list[Row]) -> FloatArray:
    """The point whose curves stay at `constant: [controls]`."""
    return np.concatenate([np.full(max(1, len(row.seconds)), value) for row, value in zip(controls, constant, strict=True)])


def _points(exam: Examination, still: Moving) -> list[FloatArray]:
    """Settings of the effect: the defaults, and inner ones."""
    inner = exam.rng.uniform(0.2, 0.8, size=(_POINTS - 1, len(still.parameters)))
    return [still.parameters.snap(point) for point in (still.parameters.defaults, *inner)]


@_curves
def _a_constant_curve_is_a_constant_setting(
    exam: Examination, effect: SelectedEffect, still: Moving, controls: list[Row]
) -> None:
    audio = exam.noise(2, exam.samples)
    for constant in _points(exam, still):
        exam.require_same(
            still.render(audio, constant), effect.render(audio, _spread(constant, controls)), "as a constant curve"
        )


@_curves
def _a_knot_changes_nothing_before_the_one_before(
    exam: Examination, effect: SelectedEffect, still: Moving, controls: list[Row]
) -> None:
    """And up to there the render is that of constant settings: blocks leave no trace."""
    audio = exam.noise(2, exam.samples)
    heard = False
    for constant in _points(exam, still):
        expected = still.render(audio, constant)
        for row, value in zip(controls, constant, strict=True):
            if not row.moves:
                continue
            last = max(1, sum(t * effect.sample_rate < exam.samples for t in row.seconds) - 1)
            begins = row.seconds[last - 1] if row.shape == "linear" else row.seconds[last]
            point = _spread(constant, controls)
            point[row.start + last] = 0.0 if value > 0.5 else 1.0
            found = effect.render(audio, point)
            before = slice(0, int(np.ceil(begins * effect.sample_rate)))
            error = relative_error(expected[:, before], found[:, before]) if before.stop else 0.0
            exam.require(
                error <= SLACK * effect.repeatability,
                f"{row.name!r} changes at the knot at {row.seconds[last]:.3g} s, and what is heard before {begins:.3g} s differs: "
                f"relative error {error:.3g}",
            )
            heard = heard or relative_error(expected, found) > SLACK * effect.repeatability
    exam.require(heard, "no knot of any curve is heard")


@_curves
def _settings_move_in_the_declared_blocks(
    exam: Examination, effect: SelectedEffect, still: Moving, controls: list[Row]
) -> None:
    """Settings that change at a block change nothing before it, and at the one after it, nothing before that one."""
    block, audio = still.curve_block, exam.noise(2, exam.samples)
    count = -(-exam.samples // block)
    for constant in _points(exam, still):
        expected = still.render(audio, constant)
        for begins in {1, count // 2, count - 1} - {0}:
            table = np.repeat(constant[:, None], count, axis=1)
            moving = [i for i, row in enumerate(controls) if row.moves]
            table[moving, begins:] = np.where(constant[moving] > 0.5, 0.1, 0.9)[:, None]
            found = still.render_curves(audio, table)
            before = slice(0, begins * block)
            error = relative_error(expected[:, before], found[:, before])
            exam.require(
                error <= SLACK * effect.repeatability,
                f"settings that change after {begins} blocks of {block} samples change what was before: error {error:.3g}",
            )


@_curves
def _a_small_move_makes_a_small_difference(
    exam: Examination, effect: SelectedEffect, still: Moving, controls: list[Row]
) -> None:
    """What the effect remembers is not lost where a setting changes: echoes and envelopes go on."""
    block, audio = still.curve_block, exam.noise(2, exam.samples)
    count = -(-exam.samples // block)
    for constant in _points(exam, still):
        expected = still.render(audio, constant)
        for begins in {1, count // 2} - {0}:
            table = np.repeat(constant[:, None], count, axis=1)
            moving = [i for i, row in enumerate(controls) if row.moves and still.parameters[i].levels is None]
            table[moving, begins] += np.where(constant[moving] > 0.5, -_SMALL, _SMALL)
            error = relative_error(expected, still.render_curves(audio, table))
            exam.require(
                error <= max(_SMALL_ERROR, SLACK * effect.repeatability),
                f"settings that move by {_SMALL:g} for one block of {block} samples make a relative difference of {error:.3g}",
            )


@_curves
def _curves_keep_the_length(exam: Examination, effect: SelectedEffect, still: Moving, controls: list[Row]) -> None:
    """Audio shorter than a block, shorter than the curves, and longer."""
    point = effect.parameters.snap(exam.rng.uniform(size=len(effect.parameters)))
    for samples in (0, *exam.lengths, exam.samples, 2 * exam.samples + 1):
        for channels in (1, 2):
            audio = exam.noise(channels, samples)
            result = effect.render(audio, point)
            exam.require(
                result.shape == audio.shape and result.dtype == np.float32,
                f"with settings that move, audio of shape {audio.shape} came back as {result.shape} {result.dtype}",
            )


#: The laws, by name, in the order in which they are checked.
CURVE_LAWS: tuple[Law, ...] = (
    ("a constant curve is a constant setting", _a_constant_curve_is_a_constant_setting),
    ("a knot changes nothing before the one before it", _a_knot_changes_nothing_before_the_one_before),
    ("settings move in the declared blocks", _settings_move_in_the_declared_blocks),
    ("a small move makes a small difference", _a_small_move_makes_a_small_difference),
    ("curves keep the length", _curves_keep_the_length),
)
