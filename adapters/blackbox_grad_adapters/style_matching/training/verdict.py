"""Has a training learnt anything? Tests on the validation pairs, against answers that know nothing of the reference."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from torch import Tensor

from blackbox_grad.dependencies import library
from blackbox_grad.parameters import FloatArray

#: A controller that has learnt nothing passes in this share of the trainings.
LEVEL = 0.01


def verdict(
    found: Tensor, p: Tensor, clean: Tensor, *, sound: Tensor, middle: Tensor, dry: Tensor, fixed: bool
) -> dict[str, Any]:
    """Whether the answers are better than those that know nothing of the reference: "learnt", and how sure that is: "chance".

    Two things are tested, on pairs with an effect. *Settings*: a parameter, or all together, is nearer to the truth than the
    middle, 0.5, by more than the errors of both means (Welch's test: a share of the variance that is 0 within its error does not
    count). *Sound*: the result is nearer to the truth than the dry input, pair by pair, and nearer than the middle, by more than
    the errors of both means. "chance" is the smaller of both p-values, times the number of tests (Bonferroni): the probability that
    a controller which knows nothing scores as well. It has learnt something if that is below `LEVEL`.

    Args:
        found, p: `[N, P]`, the answers and the truth.
        clean: `[N]`: pairs without effect, which are left out.
        sound, middle, dry: `[B]`: the distances to the truth of the first pairs: of the answers, of the middle, of the dry input.
        fixed: all pairs have the same settings, so that the middle knows as much as anything can.
    """
    wet = ~clean
    errors = ((found - p).square()[wet].double().numpy(), (0.5 - p).square()[wet].double().numpy())
    columns = [tuple(e[:, i] for e in errors) for i in range(p.shape[1])]
    tests = [_nearer(*column) for column in columns]
    if len(tests) > 1:
        tests.append(_nearer(*(e.mean(axis=1) for e in errors)))
    there = wet[: len(dry)]
    y, centre, x = (np.log(d[there].double().clamp_min(1e-9).numpy()) for d in (sound, middle, dry))
    by_sound = _below(y - x)
    if not fixed:
        by_sound = max(by_sound, _nearer(y - x, centre - x))
    chance = min(1.0, 2.0 * min(by_sound, len(tests) * min(tests)))
    return {"learnt": chance < LEVEL, "chance": chance}


def _nearer(errors: FloatArray, others: FloatArray) -> float:
    """The p-value of Welch's test that the mean of `errors: [N]` is below that of `others: [N]`."""
    stats = library("scipy.stats", "the verdict on a training", "match")
    if len(errors) < 2 or (errors == others).all():
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of constants
        value = float(stats.ttest_ind(errors, others, equal_var=False, alternative="less").pvalue)
    return _decided(value, errors.mean() < others.mean())


def _below(differences: FloatArray) -> float:
    """The p-value of Student's test that the mean of `differences: [N]` is below 0."""
    stats = library("scipy.stats", "the verdict on a training", "match")
    if len(differences) < 2 or not differences.any():
        return 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        value = float(stats.ttest_1samp(differences, 0.0, alternative="less").pvalue)
    return _decided(value, differences.mean() < 0.0)


def _decided(value: float, below: bool) -> float:
    """Without variance the tests give NaN: the means alone decide."""
    return value if np.isfinite(value) else 0.0 if below else 1.0
