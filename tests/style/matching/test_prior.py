"""The prior over settings: classes of parameters, where they usually sit, and how settings follow it."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox_grad.parameters import Parameter, ParameterSpace
from blackbox_grad_adapters.style_matching.matching.prior import BINS, Prior, classes

#: The highest eighth of the range is the usual one for a gain in dB.
HIGH = [0.5] * (BINS - 1) + [4.5]
FLAT = [1.0] * BINS
TABLE = {
    "kind continuous": {"effects": 100, "audible": FLAT, "usual": FLAT},
    "word gain": {"effects": 50, "audible": HIGH, "usual": FLAT},
}


def space(*names: str) -> ParameterSpace:
    return ParameterSpace([Parameter(name) for name in names])


def test_classes_go_from_the_kind_to_the_words_of_the_name() -> None:
    assert classes(Parameter("Compressor: OutputGain 2", unit="dB")) == [
        "kind continuous",
        "unit db",
        "word output",
        "word gain",
    ]
    assert classes(Parameter("Mode", "stepped", levels=3)) == ["kind stepped", "word mode"]


def test_a_known_word_shapes_the_density_and_an_unknown_one_does_not() -> None:
    density = Prior(space("Gain", "Wobble"), TABLE).density
    assert density.mean(axis=1) == pytest.approx(1.0)
    assert density[0, -1] > 2.0 > density[0, :-1].max()
    assert density[1] == pytest.approx(1.0)


def test_samples_have_the_density() -> None:
    prior = Prior(space("Gain", "Wobble"), TABLE)
    drawn = prior.drawn(np.random.default_rng(0).uniform(size=(20_000, 2)))
    for i, density in enumerate(prior.density):
        counts = np.histogram(drawn[:, i], BINS, (0, 1))[0] / len(drawn)
        assert counts * BINS == pytest.approx(density, rel=0.1)


def test_residuals_are_the_logarithm_of_the_density() -> None:
    prior = Prior(space("Gain", "Wobble"), TABLE)
    centres = (np.arange(BINS) + 0.5) / BINS
    residuals = prior.residuals(np.stack([centres, centres], axis=1))
    expected = np.log(prior.density.max(axis=1)[:, None] / prior.density).T
    assert residuals**2 / 2 == pytest.approx(expected, abs=1e-9)
    assert residuals[-1, 0] == pytest.approx(0.0, abs=1e-9)


def test_steps_stay_at_their_levels() -> None:
    steps = ParameterSpace([Parameter("Gain", "stepped", levels=4), Parameter("On", "toggle")])
    drawn = Prior(steps, TABLE).drawn(np.random.default_rng(0).uniform(size=(64, 2)))
    np.testing.assert_array_equal(drawn, steps.snap(drawn))
    assert len(np.unique(drawn[:, 0])) == 4


def test_the_table_of_the_package_knows_that_a_gain_is_rarely_at_its_lowest() -> None:
    density = Prior(space("Gain", "Output Level")).density
    assert (density[:, 0] < 0.95).all()
    assert (density[:, 4:].mean(axis=1) > 1.0).all()


def test_an_effect_without_parameters_has_a_prior() -> None:
    prior = Prior(space())
    assert prior.residuals(np.empty((3, 0))).shape == (3, 0)
    assert prior.drawn(np.empty((3, 0))).shape == (3, 0)
