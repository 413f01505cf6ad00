"""Laws of parameters and parameter spaces."""

from __future__ import annotations

import pickle
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox_grad import Parameter, ParameterSpace
from blackbox_grad.cli import values_of
from blackbox_grad.errors import ParameterError
from blackbox_grad.parameters import plain_name

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
    ("text", "native"),
    [("350ms", 350), ("0.35 s", 350), ("1000 MS", 1000), ("1.5e2ms", 150), ("0", 1), ("1.0 normalised", 1000)],
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


RATIO = Parameter("Ratio", minimum=1.0, maximum=20.0, scale="log")


@pytest.mark.parametrize(
    ("parameter", "text", "native", "normalised"),
    [
        (RATIO, "1", "1 native", "1 normalised"),
        (Parameter("Drive", minimum=0.0, maximum=40.0, unit="dB"), "0.4", "0.4dB", "0.4 normalised"),
        (Parameter("Mix", minimum=0.0, maximum=100.0, unit="%"), "1", "1%", "1 normalised"),
        (Parameter("Steps", "stepped", 0.0, levels=5, minimum=1.0, maximum=5.0), "1", "1 native", "1 normalised"),
        (Parameter("Back", minimum=1.0, maximum=0.0), "0.25", "0.25 native", "0.25 normalised"),
        (Parameter("Level", minimum=-1.0, maximum=1.0), "0.0", "0.0 native", "0.0 normalised"),
    ],
)
def test_a_bare_number_that_could_mean_two_values_is_asked_about(parameter, text, native, normalised):
    with pytest.raises(ParameterError, match="may be the native value or a part of the range") as asked:
        parameter.parse(text)
    assert f"'{native}'" in str(asked.value)
    assert f"'{normalised}'" in str(asked.value)
    assert parameter.to_native(parameter.parse(native)) == pytest.approx(float(text))
    assert parameter.parse(normalised) == pytest.approx(float(text))
    assert parameter.parse(normalised) != pytest.approx(parameter.parse(native))


@given(value=st.floats(0, 1), ends=ranges, unit=st.sampled_from(["", "ms", "%"]), scale=st.sampled_from(["linear", "log"]))
def test_a_bare_number_never_means_another_native_value(value, ends, unit, scale):
    parameter = Parameter("p", minimum=ends[0], maximum=ends[1], scale=scale, unit=unit)
    text = f"{value:.4f}"
    try:
        read = parameter.parse(text)
    except ParameterError:
        return
    assert read == float(text)
    if min(ends) <= read <= max(ends):
        assert parameter.to_native(read) == pytest.approx(read, abs=1e-3 * abs(ends[1] - ends[0]))


@pytest.mark.parametrize("text", ["0.5", "0", "1", "1.0"])
def test_a_bare_number_is_a_part_of_the_range_where_it_can_mean_nothing_else(text):
    for parameter in (
        Parameter("p"),
        Parameter("Hz", minimum=20.0, maximum=20000.0, unit="Hz"),
        Parameter("on", "toggle", 0.0),
    ):
        assert parameter.parse(text) == float(text)


@given(value=st.floats(0, 1), ends=ranges, unit=st.sampled_from(["", "ms"]))
def test_what_is_shown_is_accepted_back(value, ends, unit):
    """Also at the ends of the range, which are shown with four digits: "63.1" of a maximum of 63.0957."""
    parameter = Parameter("p", minimum=ends[0], maximum=ends[1], unit=unit)
    for v in (0.0, value, 1.0):
        shown = parameter.text(v)
        assert parameter.parse(shown if unit else f"{shown} native") == pytest.approx(v, abs=0.6)


NAMES = ["Gain", "gain 2", "Gain", "", " ", "Größe", "日本", "A=B", "Delay: Mix", "100%", "Gain", "GAIN 3", "a|b"]


def test_every_name_names_one_parameter():
    """Real names stay, and numbers of doubled ones avoid them; an empty name gets one."""
    space = ParameterSpace([Parameter(name) for name in NAMES])
    assert space.names[:3] == ("Gain", "gain 2", "Gain 4")
    assert space.names[3:5] == ("Parameter 4", "Parameter 5")
    assert [n for i, n in enumerate(space.names) if i not in (2, 3, 4, 10)] == [
        n for i, n in enumerate(NAMES) if i not in (2, 3, 4, 10)
    ]
    assert len({plain_name(name) for name in space.names}) == len(NAMES)
    for i, name in enumerate(space.names):
        for spelling in (name, name.upper(), unicodedata.normalize("NFD", name), name.replace(" ", "_")):
            assert space.index(spelling) == i
    assert ParameterSpace(space.everything) == space


@pytest.mark.parametrize("name", [n for n in NAMES if n.strip()])
def test_any_name_can_be_set_at_the_command_line(name):
    space = ParameterSpace([Parameter(n) for n in dict.fromkeys(NAMES)])
    values = values_of([f"{name}=0.25"])
    assert space.point(values)[space.index(name)] == 0.25
    assert space.select("all", values).held[space.index(name)] == 0.25


@pytest.mark.parametrize(
    ("name", "shown"), [("x\ny", "x y"), ("\x1b[31mred", "[31mred"), ("a\u202eb", "a b"), ("\x00", "Parameter 1")]
)
def test_a_name_fits_into_a_line_of_a_terminal(name, shown):
    assert ParameterSpace([Parameter(name)]).names == (shown,)


def test_a_level_may_contain_an_equals_sign():
    space = ParameterSpace([Parameter("Mode", "stepped", 0.0, levels=2, choices=("A=B", "B=A"))])
    assert space.point(values_of(["Mode=B=A"])) == [1.0]


def test_two_spellings_of_one_parameter_are_refused():
    for values in ({"Drive": 0.1, "drive": 0.2}, {"drive": "0.1", "DRIVE": "0.1"}):
        with pytest.raises(ParameterError, match="'Drive' .*two spellings"):
            SPACE.select(fixed=values)
        with pytest.raises(ParameterError, match="'Drive' .*two spellings"):
            SPACE.point(values)


def test_a_spelling_of_two_parameters_is_refused():
    space = ParameterSpace([Parameter("Gain-1"), Parameter("gain 1")])
    assert space.index("gain 1") == 1
    with pytest.raises(ParameterError, match="'GAIN1' may be 'Gain-1' or 'gain 1'"):
        space.index("GAIN1")


@pytest.mark.parametrize("text", ["9" * 400, "1e999", "nan", "inf", "-inf", "1e999 ms", "", " ", "0x1", "1_0", "1,5"])
def test_a_number_that_is_none_is_refused(text):
    for parameter in (TIME, RATIO, Parameter("Drive")):
        with pytest.raises(ParameterError):
            parameter.parse(text)


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


@pytest.mark.parametrize(
    ("parameter", "text", "message"),
    [
        (Parameter("Mix"), "2", "parameter 'Mix': 2 is outside its range 0 to 1"),
        (Parameter("Mix"), "50%", "has no unit, so '50%' cannot be converted; write it as '0.5 native' (allowed: 0 to 1)"),
        (Parameter("Time", maximum=2.0, unit="s"), "0,5", "cannot read '0,5'; write a decimal point, '0.5'"),
        (Parameter("On", "toggle", 1.0), "maybe", "cannot read 'maybe'; write 'on' or 'off'"),
        (Parameter("Mode", "stepped", 0.0, levels=2, choices=("LPF12", "HPF12")), "LPF", "did you mean 'LPF12'"),
        (RATIO, "1", "a part of the range, which is 20"),
    ],
)
def test_text_that_cannot_be_read_is_answered_with_what_to_write(parameter, text, message):
    with pytest.raises(ParameterError) as refused:
        parameter.parse(text)
    assert message in str(refused.value)


def test_long_names_are_not_all_listed():
    with pytest.raises(ParameterError, match=r"no parameter 'x'; known: .*in all\)$") as refused:
        ParameterSpace([Parameter(f"{'long ' * 20}{i}") for i in range(30)]).point({"x": 0.5})
    assert len(str(refused.value)) < 1000
