from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.errors import ParameterError
from blackbox_grad.parameters import blend
from blackbox_grad.testing import strategies

SPACE = ParameterSpace(
    [
        Parameter("Drive"),
        Parameter("Poles", "stepped", levels=9),
        Parameter("Mode", "stepped", levels=3, choices=("A", "B", "C")),
        Parameter("On", "toggle"),
    ]
)


@given(strategies.parameter_spaces(), st.data())
def test_it_begins_at_the_neutral_settings_and_reaches_the_others_to_the_bit(
    space: ParameterSpace, data: st.DataObject
) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    neutral, point = space.snap(rng.uniform(size=(2, len(space))))
    assert blend(space, neutral, point, 0.0).tolist() == neutral.tolist()
    assert blend(space, neutral, point, 1.0).tolist() == point.tolist()
    path = np.array([blend(space, neutral, point, amount) for amount in np.linspace(0.0, 1.5, 16)])
    assert ((path >= 0) & (path <= 1)).all()
    assert (np.diff(path, axis=0) * np.sign(point - neutral) >= 0).all()


def test_what_has_no_way_between_changes_in_the_middle() -> None:
    neutral, point = [0.0, 0.0, 0.0, 0.0], [0.8, 1.0, 1.0, 1.0]
    assert blend(SPACE, neutral, point, 0.49).tolist() == pytest.approx([0.392, 0.5, 0.0, 0.0])
    assert blend(SPACE, neutral, point, 0.5).tolist() == pytest.approx([0.4, 0.5, 1.0, 1.0])
    assert blend(SPACE, neutral, point, 1.5).tolist() == [1.0, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("amount", [-0.1, 1.6, float("nan")])
def test_other_amounts_are_refused(amount: float) -> None:
    with pytest.raises(ParameterError, match=r"must be from 0 \(neutral\)"):
        blend(SPACE, SPACE.defaults, SPACE.defaults, amount)
