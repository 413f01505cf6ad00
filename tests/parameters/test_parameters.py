"""Laws of parameters and parameter spaces."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.errors import ParameterError

TIME = Parameter("Time", minimum=1.0, maximum=1000.0, unit="ms", scale="log")
MODE = Parameter("Mode", "stepped", 0.0, levels=3, choices=("Low", "Band", "High"))
SPACE = ParameterSpace([Parameter("Drive"), MODE, TIME, Parameter("On", "toggle", 1.0)])

ranges = st.tuples(st.floats(0.01, 100), st.floats(0.01, 100)).filter(lambda r: abs(r[0] - r[1]) > 1e-3)


@given(value=st.floats(0, 1), ends=ranges, scale=st.sampled_from(["linear", "log", "table"]))
def test_native_and_back_is_the_same_value(value, ends, scale):
    table = tuple(np.linspace(*ends, 7)) if scale == "table" else ()
    parameter = Parameter("p", minimum=ends[0], maximum=ends[1], scale=scale, table=table)
    assert parameter.to_normalised(parameter.to_native(value)) == pytest.approx(value, abs=1e-3)


@given(levels=st.integers(2, 200), value=st.floats(0, 1))
def test_snap_gives_the_nearest_level_and_keeps_levels(levels, value):
    parameter = Parameter("p", "stepped", 0.0, levels=levels)
    snapped = parameter.snap(value)
    assert abs(snapped - value) <= parameter.step / 2 + 1e-12
    assert parameter.snap(snapped) == snapped


@pytest.mark.parametrize(
    ("text", "native"), [("350ms", 350), ("0.35 s", 350), ("1000 MS", 1000), ("1.5e2ms", 150), ("0", 1), ("1.0", 1000)]
)
def test_parse_reads_normalised_numbers_and_native_ones_with_a_unit(text, native):
    assert TIME.to_native(TIME.parse(text)) == pytest.approx(native)


def test_parse_reads_choices_and_toggles():
    assert MODE.parse("band") == 0.5
    assert SPACE[3].parse("off") == 0.0


@pytest.mark.parametrize(
    ("parameter", "text", "said"),
    [
        (TIME, "350", "'350ms'"),
        (TIME, "2000ms", "1 to 1000 ms"),
        (TIME, "3 dB", "is in ms"),
        (MODE, "Mid", "Low, Band, High"),
        (Parameter("Ratio", minimum=1, maximum=20), "4", "'4 native'"),
    ],
)
def test_a_value_that_cannot_be_read_names_the_way_out(parameter, text, said):
    with pytest.raises(ParameterError, match="parameter") as caught:
        parameter.parse(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "knob"},
        {"default": 1.5},
        {"default": float("nan")},
        {"kind": "stepped"},
        {"levels": 3},
        {"scale": "log", "minimum": 0.0},
        {"maximum": float("inf")},
        {"kind": "stepped", "levels": 3, "choices": ("a", "b")},
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ParameterError, match="'Gain'"):
        Parameter("Gain", **wrong)


def test_duplicate_names_survive():
    space = ParameterSpace([Parameter("Gain"), Parameter("Gain"), Parameter("Gain")])
    assert space.names == ("Gain", "Gain 2", "Gain 3")


def test_continuous_ones_are_free_by_default_and_others_on_request():
    assert SPACE.select().names == ("Drive", "Time")
    assert SPACE.select("all").names == ("Drive", "Mode", "Time", "On")
    held = ParameterSpace([*SPACE.everything, Parameter("Room", trainable=False)])
    assert held.select("trainable").names == ("Drive", "Mode", "Time", "On")
    assert held.select("continuous").names == ("Drive", "Time")
    assert held.select("all").names[-1] == "Room"
    assert SPACE.select(["Time", "drive"]).names == ("Time", "Drive")
    assert SPACE.select(fixed={"Time": "10 ms"}).names == ("Drive",)


def test_complete_puts_free_values_in_place_and_holds_the_others():
    space = SPACE.select(["Time", "Mode"], {"Drive": 0.25})
    values = space.complete([0.1, 0.6])
    np.testing.assert_allclose(values, [0.25, 0.5, 0.1, 1.0])


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ParameterError, match="did you mean 'Drive'"):
        SPACE.select(["Drvie"])


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_points_outside_the_box_name_parameter_and_value(value):
    with pytest.raises(ParameterError, match=r"'Mode' \(item 1\)"):
        SPACE.check([[0.5, 0.5, 0.5, 0.5], [0.5, value, 0.5, 0.5]])


def test_both_free_and_fixed_is_refused():
    with pytest.raises(ParameterError, match="Drive"):
        SPACE.select(["Drive"], {"Drive": 0.1})


def test_a_space_travels():
    space = SPACE.select(["Time"], {"Mode": "High"})
    assert pickle.loads(pickle.dumps(space)) == space
