"""Names and patterns of names choose the free parameters."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.errors import ParameterError

BANDS = ParameterSpace(
    [
        Parameter("Output gain"),
        *(Parameter(f"{what} {band}") for band in range(1, 14) for what in ("Gain", "Frequency")),
        Parameter("Hue 3", trainable=False),
        Parameter("Level [dB]"),
    ]
)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("* 3", ["Gain 3", "Frequency 3"]),
        ("gain ?", [f"Gain {band}" for band in range(1, 10)]),
        ("GAIN_*", [f"Gain {band}" for band in range(1, 14)]),
        ("*gain", ["Output gain"]),
        ("Freq* [12]", ["Frequency 1", "Frequency 2"]),
        ("Level [dB]", ["Level [dB]"]),
        ("level[db]", ["Level [dB]"]),
    ],
)
def test_a_pattern_finds_the_names_that_match(pattern: str, names: list[str]) -> None:
    assert list(BANDS.select([pattern]).names) == names


def test_names_keep_their_order_and_a_pattern_finds_none_twice() -> None:
    assert BANDS.select(["Frequency 3", "* 3", "* 2", "Gain *"]).names[:4] == ("Frequency 3", "Gain 3", "Gain 2", "Frequency 2")
    assert BANDS.select(["* 3", "Gain 3"]).names == ("Frequency 3", "Gain 3")
    everything = BANDS.select(["*", "*"]).names
    assert len(set(everything)) == len(everything) == len(BANDS.everything) - 1


def test_a_pattern_leaves_out_what_is_fixed_or_held() -> None:
    assert BANDS.select(["* 3"], {"Gain 3": 0.5}).names == ("Frequency 3",)
    assert BANDS.select(["Hue 3"]).names == ("Hue 3",)
    with pytest.raises(ParameterError, match=r"'Hue \*' matches only parameters that are fixed, or held .*: Hue 3"):
        BANDS.select(["Hue *"])


def test_a_pattern_that_matches_nothing_suggests_the_nearest() -> None:
    with pytest.raises(ParameterError, match=r"no parameter matches 'Outptu gain\*'; did you mean 'Output gain'"):
        BANDS.select(["Outptu gain*"])


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=1, max_size=5), st.data())
def test_every_parameter_is_named_by_its_own_name_whatever_is_in_it(names: list[str], data: st.DataObject) -> None:
    space = ParameterSpace([Parameter(name) for name in names])
    name = data.draw(st.sampled_from(space.names))
    assert space.select([name]).names == (name,)


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ParameterError, match=re.escape("named more than once")):
        BANDS.select(["Gain 3", "gain3"])
