"""Settings keep their native values: at another sample rate, in another version, and from files of earlier versions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blackbox_grad import Parameter, ParameterSpace, load
from blackbox_grad.effects import EffectInfo, SavedSettings, saved_settings
from blackbox_grad.errors import ParameterError
from blackbox_grad.parameters import carried
from blackbox_grad.parameters.travel import put_back, setting

#: Effects with a range that follows the sample rate, and that parameter.
FOLLOWING = (
    ("pedalboard-builtin:LadderFilter", "cutoff_hz"),
    ("pedalboard-builtin:PeakFilter", "cutoff_frequency_hz"),
    ("pedalboard-builtin:HighpassFilter", "cutoff_frequency_hz"),
    ("pedalboard-builtin:Phaser", "centre_frequency_hz"),
)
EVERYWHERE = (
    "dawdreamer:http://drobilla.net/plugins/mda/Delay",
    "dawdreamer:http://drobilla.net/plugins/mda/MultiBand",
    "pedalboard:ZamCompX2.vst3",
    "pedalboard-builtin:Reverb",
    "pedalboard-builtin:GSMFullRateCompressor",
    "pedalboard-builtin:Compressor | pedalboard-builtin:LadderFilter",
    "reference:delay",
)


def opened(address: str, rate: float) -> EffectInfo:
    with load(address, rate, "all") as effect:
        return EffectInfo.of(effect)


def written(folder: Path, data: Any) -> SavedSettings:
    (folder / "settings.json").write_text(json.dumps(data))
    return SavedSettings.read(folder / "settings.json")


@pytest.mark.parametrize(("address", "name"), FOLLOWING)
def test_a_native_value_stays_what_it_is_at_another_sample_rate(address: str, name: str, tmp_path: Path) -> None:
    high = opened(address, 44100.0)
    wanted = high.parameters.point({name: "1000 Hz"})
    for rate in (16000.0, 22050.0, 96000.0):
        there = opened(address, rate)
        found = written(tmp_path, saved_settings(high, wanted)).fixed(there)
        parameter = there.parameters[there.parameters.index(name)]
        assert parameter.to_native(float(found[name])) == pytest.approx(1000.0, rel=1e-9)
        point = carried(wanted, high.parameters, there.parameters)
        assert there.parameters.to_native(point) == pytest.approx(high.parameters.to_native(wanted), rel=1e-6)


@pytest.mark.parametrize(("address", "name"), FOLLOWING)
def test_a_value_that_cannot_be_had_is_refused_with_cause_and_way_out(address: str, name: str, tmp_path: Path) -> None:
    high, low = opened(address, 44100.0), opened(address, 16000.0)
    saved = written(tmp_path, saved_settings(high, high.parameters.point({name: "15000 Hz"})))
    with pytest.raises(ParameterError, match=r"15000 Hz is outside its range .* 7200 Hz.*found at 44100 Hz.*--set '.*44100 Hz"):
        saved.fixed(low)
    assert name not in saved.fixed(low, {name: "5000 Hz"})
    with pytest.raises(ParameterError, match="15000 Hz is outside"):
        carried(high.parameters.point({name: "15000 Hz"}), high.parameters, low.parameters)


def test_settings_of_another_effect_are_named_without_a_way_that_leads_nowhere(tmp_path: Path) -> None:
    filtered, reverb = opened("pedalboard-builtin:LowpassFilter", 44100.0), opened("pedalboard-builtin:Reverb", 48000.0)
    saved = written(tmp_path, saved_settings(filtered, filtered.parameters.defaults))
    with pytest.raises(ParameterError, match="found for pedalboard-builtin:LowpassFilter.*take the settings of") as said:
        saved.fixed(reverb)
    assert "--set" not in str(said.value)


@pytest.mark.parametrize("address", EVERYWHERE)
def test_where_the_range_is_the_same_a_setting_comes_back_to_the_bit(address: str, tmp_path: Path) -> None:
    info = opened(address, 44100.0)
    space = info.parameters
    for point in np.random.default_rng(5).uniform(size=(4, len(space))):
        found = written(tmp_path, saved_settings(info, point)).fixed(info)
        assert [found[p.name] for p in space] == space.complete(point).tolist()


def test_what_was_left_at_its_default_stays_there_where_its_value_cannot_be_had() -> None:
    """The usual cutoff of a filter at 44.1 kHz may lie beyond the range at 16 kHz."""
    high = Parameter("Cutoff", default=1.0, minimum=20.0, maximum=19845.0, unit="Hz", scale="log")
    low = Parameter("Cutoff", default=0.8, minimum=20.0, maximum=7200.0, unit="Hz", scale="log")
    assert put_back(setting(high, 1.0), low) == 0.8
    with pytest.raises(ParameterError, match="outside its range"):
        put_back(setting(high, 0.99), low)


@pytest.mark.parametrize(
    ("was", "value", "now", "expected"),
    [
        (Parameter("Time", maximum=2000.0, unit="ms"), 0.25, Parameter("Time", maximum=1.0, unit="s"), 0.5),
        (Parameter("Ratio", minimum=1.0, maximum=20.0), 3 / 19, Parameter("Ratio", minimum=1.0, maximum=10.0), 3 / 9),
        (Parameter("Drive"), 0.3, Parameter("Drive", maximum=40.0, unit="dB"), 0.3),
        (
            Parameter("Gain", unit="dB", scale="table", table=(-60.0, 0.0, 6.0)),
            0.75,
            Parameter("Gain", minimum=-3, maximum=9.0, unit="dB"),
            0.5,
        ),
        (
            Parameter("Mode", "stepped", levels=3, choices=("A", "B", "C")),
            1.0,
            Parameter("Mode", "stepped", levels=5, choices=("A", "C", "D", "E", "F")),
            0.25,
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Parameter) else str(value),
)
def test_another_version_gets_the_native_value(was: Parameter, value: float, now: Parameter, expected: float) -> None:
    assert put_back(setting(was, value), now) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("was", "value", "now", "message"),
    [
        (Parameter("Time", maximum=2.0, unit="s"), 1.0, Parameter("Time", maximum=1000.0, unit="ms"), "outside its range"),
        (
            Parameter("Time", maximum=2.0, unit="s"),
            0.5,
            Parameter("Time", minimum=1.0, maximum=9.0, unit="Hz"),
            "cannot be conv",
        ),
        (Parameter("Time", maximum=2.0, unit="s"), 0.5, Parameter("Time"), "cannot be converted"),
        (
            Parameter("Mode", "stepped", levels=2, choices=("A", "B")),
            1.0,
            Parameter("Mode", "stepped", levels=2, choices=("A", "C")),
            "cannot read 'B'",
        ),
    ],
    ids=["beyond", "other unit", "without unit", "other choices"],
)
def test_a_value_without_a_place_is_refused(was: Parameter, value: float, now: Parameter, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        put_back(setting(was, value) | {"default": "another"}, now)


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """They hold a normalised value and a text; the oldest, and those of people, a normalised value."""
    address = "pedalboard-builtin:LadderFilter"
    high, low = opened(address, 44100.0), opened(address, 16000.0)
    value = float(high.parameters.point({"cutoff_hz": "1000 Hz"})[1])
    row = {
        "name": "cutoff_hz",
        "kind": "continuous",
        "normalised": value,
        "native": "1000 Hz",
        "unit": "Hz",
        "default": "200 Hz",
    }
    assert written(tmp_path, {"parameters": [row]}).fixed(high) == {"cutoff_hz": value}
    there = written(tmp_path, {"parameters": [row]}).fixed(low)["cutoff_hz"]
    assert low.parameters[1].to_native(float(there)) == pytest.approx(1000.0)
    bare = {"name": "cutoff_hz", "normalised": 0.5}
    assert written(tmp_path, {"parameters": [bare]}).fixed(low) == {"cutoff_hz": 0.5}


@pytest.mark.parametrize(
    "data",
    [[], {}, {"parameters": 3}, {"parameters": [{"name": "Mix"}]}, {"parameters": [{"name": "Mix", "normalised": "much"}]}],
    ids=str,
)
def test_a_file_without_settings_is_refused(data: Any, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="holds no settings"):
        written(tmp_path, data)


@pytest.mark.parametrize("damage", [{"value": "x"}, {"normalised": 7.0}, {"unit": None, "value": []}], ids=str)
def test_a_damaged_row_is_refused_by_its_name(damage: dict[str, Any], tmp_path: Path) -> None:
    info = opened("reference:delay", 44100.0)
    data = saved_settings(info, info.parameters.defaults)
    data["parameters"][0] |= damage | {"native": "0.7 s"}
    with pytest.raises(ParameterError, match="Time"):
        written(tmp_path, data).fixed(info)


def test_a_file_says_which_effect_and_version_it_is_of() -> None:
    built_in, plugin = (opened(a, 44100.0) for a in ("pedalboard-builtin:Reverb", "pedalboard:ZamCompX2.vst3"))
    assert saved_settings(built_in, built_in.parameters.defaults)["version"].startswith("pedalboard ")
    assert len(saved_settings(plugin, plugin.parameters.defaults)["version"]) == 32


def test_spaces_with_other_parameters_are_not_carried() -> None:
    one, other = ParameterSpace([Parameter("Mix")]), ParameterSpace([Parameter("Drive")])
    with pytest.raises(ParameterError, match="select the same"):
        carried([0.5], one, other)
