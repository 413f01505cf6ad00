"""Parameters of LV2 plug-ins have the range, scale, unit and names of their files, and the plug-in receives what they say."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from blackbox_grad.effects import EffectSpec, load
from blackbox_grad_backends.dawdreamer_effect import DawDreamerPluginEffect
from blackbox_grad_backends.dawdreamer_plugin import DawDreamerPluginBackend
from blackbox_grad_backends.native import lv2_bundles, plugin_folders
from blackbox_grad_backends.native.lv2_description import PluginDescription, Port, PortGroup
from blackbox_grad_backends.native.lv2_parameters import HostRange, describe_port, is_for_the_host, ports_of_controls
from blackbox_grad_backends.native.lv2_reading import describe_all
from blackbox_grad_backends.native.lv2_refusals import refusal

EQUALISER = "http://calf.sourceforge.net/plugins/Equalizer12Band"
MDA = "http://drobilla.net/plugins/mda/"

#: Plug-ins with every kind of port: plain, whole, named, uneven, grouped, logarithmic, hundreds, in multiples of the sample rate.
REAL = (
    "urn:zamaudio:ZamDelay", f"{MDA}RezFilter", "urn:ardour:a-delay",
    *(
        pytest.param(uri, marks=pytest.mark.slow)
        for uri in (
            "urn:zamaudio:ZamTube", "urn:zamaudio:ZamComp", f"{MDA}MultiBand", f"{MDA}Image", f"{MDA}TestTone", EQUALISER,
            "http://lsp-plug.in/plugins/lv2/compressor_mono", "http://gareus.org/oss/lv2/fil4#mono",
            "http://plugin.org.uk/swh-plugins/decimator",
        )
    ),
)  # fmt: skip


def control(low: float = 0.0, high: float = 1.0, *properties: str, **more: object) -> Port:
    fields: dict[str, object] = {"minimum": low, "maximum": high, "default": low} | more
    return Port("c", "C", 0, "control", True, frozenset(properties), **fields)  # type: ignore[arg-type]


def _mended(text: str) -> str:
    """DawDreamer gives UTF-8 as if it were Latin-1."""
    try:
        return text.encode("latin-1").decode("utf-8").strip()
    except UnicodeError:
        return text.strip()


def opened(uri: str, sample_rate: float = 44100.0) -> DawDreamerPluginEffect:
    if lv2_bundles.bundle_of(uri) is None:
        pytest.skip(f"{uri} is not installed")
    return DawDreamerPluginBackend().open(uri, sample_rate, {})


@pytest.mark.parametrize(("low", "high"), [(20.0, 20000.0), (0.015625, 64.0), (20000.0, 0.1)])
def test_a_wide_positive_range_is_logarithmic_whether_its_file_says_so_or_not(low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    for properties in ((), ("logarithmic",)):
        parameter, reach = describe_port(control(low, high, *properties, unit="Hz"), 0.0)
        assert (parameter.scale, parameter.unit, parameter.minimum, parameter.maximum) == ("log", "Hz", low, high)
        assert parameter.to_native(0.5) == pytest.approx((low * high) ** 0.5)
        assert reach.native(reach.host_value(parameter, 0.5)) == pytest.approx((low * high) ** 0.5)


def test_a_logarithmic_range_from_zero_reaches_zero_and_has_unity_inside() -> None:
    parameter, reach = describe_port(control(0.0, 1000.0, "logarithmic", unit="G"), 0.001)
    assert parameter.to_native(0.0) == reach.host_value(parameter, 0.0) == 0.0
    assert parameter.to_native(1.0) == 1000.0
    assert parameter.to_native(parameter.default) == pytest.approx(1.0)
    assert 0.3 < parameter.default < 0.8
    points = np.linspace(0.0, 1.0, 301)
    assert np.all(np.diff([parameter.to_native(p) for p in points]) > 0.0)


def test_levels_have_their_names_and_their_own_values() -> None:
    points = ((0.0, "Off"), (0.25, "Left"), (0.75, "Right"))
    parameter, reach = describe_port(control(0.0, 1.0, "enumeration", points=points), 0.25)
    assert (parameter.kind, parameter.choices, parameter.text(parameter.default)) == (
        "stepped",
        ("Off", "Left", "Right"),
        "Left",
    )
    assert [reach.host_value(parameter, i / 2) for i in range(3)] == [0.0, 0.25, 0.75]
    # what lies outside of the range, and names that are not there
    outside = describe_port(control(0.0, 2.0, "enumeration", "integer", points=(*points[:1], (2.0, ""), (9.0, "x"))), 0.0)[0]
    assert outside.choices == ("Off", "2")


def test_what_is_set_by_the_host_is_no_parameter() -> None:
    for port in (
        control(designation="enabled"),
        control(designation="freeWheeling"),
        control(0.0, 1.0, "toggled", "trigger"),
        control(1.0, 1.0),
        control(2.0, 1.0),
        control(0.0, 1.0, "enumeration", points=((0.0, "only"),)),
        replace(control(), name="BYPASS"),
    ):
        assert is_for_the_host(port), port
    assert not is_for_the_host(replace(control(), name="Bypass 1"))
    assert not describe_port(control(0.0, 1.0, "notOnGUI"), 0.0)[0].trainable


def test_the_tempo_of_the_host_is_one_that_hosts_have() -> None:
    """calf's ReverseDelay crashes at one beat a minute."""
    tempo, reach = describe_port(control(1.0, 300.0, designation="beatsPerMinute"), 119.0 / 299.0)
    assert not tempo.trainable
    assert (tempo.minimum, tempo.maximum) == (20.0, 300.0)
    for value in (0.0, tempo.default, 0.5, 1.0):
        assert reach.native(reach.host_value(tempo, value)) == pytest.approx(tempo.to_native(value))


@pytest.mark.parametrize("low", [0, 1, -3, 100])
def test_a_whole_number_is_never_cut_to_the_one_below(low: int) -> None:
    """7 of 0 to 23, divided and multiplied in 32 bits, is 6.9999995. Many plug-ins cut that to 6."""
    cut = []
    for count in range(2, 90):
        parameter, reach = describe_port(control(low, low + count - 1, "integer"), 0.0)
        for step in range(count):
            value = np.float32(reach.host_value(parameter, step / (count - 1)))
            received = np.float32(low) + np.float32(count - 1) * value  # as JUCE computes it
            if not low + step <= received < low + step + 1e-3:
                cut.append((count, step, received))
    assert not cut


def test_ports_of_one_name_are_told_apart_by_their_groups() -> None:
    """JUCE lists ports outside of groups first, then the groups by their IRIs, and calls the enabled port Bypass."""
    group = PortGroup("", frozenset({"Group"}))
    kinds = [("urn:b", ""), ("", "enabled"), ("urn:a", ""), ("", ""), ("urn:b", ""), ("", "freeWheeling")]
    ports = [replace(control(designation=d), name="Gain", index=i, symbol=f"p{i}", group=g) for i, (g, d) in enumerate(kinds)]
    groups = {"urn:a": group, "urn:b": group}
    plugin = PluginDescription("urn:x", Path(), None, (), "X", frozenset(), groups=groups, ports=tuple(ports))
    found = ports_of_controls(plugin, ["Bypass", "Gain", "Gain", "Gain", "Gain"])
    assert [port and port.index for port in found] == [1, 3, 2, 0, 4]
    # without any port of this name
    assert ports_of_controls(plugin, ["Other", "Gain"])[0] is None


def test_the_default_is_passed_on_exactly_as_the_host_gave_it() -> None:
    parameter, reach = describe_port(control(20.0, 20000.0), 0.0123456789)
    assert reach.host_value(parameter, parameter.default) == 0.0123456789


@pytest.mark.plugins
@pytest.mark.parametrize("uri", REAL)
def test_the_plugin_receives_the_native_value_that_the_parameter_shows(uri: str) -> None:
    """Read back from the host, by its own text, at points over the whole range; and no control is another's."""
    effect = opened(uri)
    processor, space = effect._graph.processor, effect.parameters
    described = {d["index"]: d for d in processor.get_parameters_description()}
    rng = np.random.default_rng(0)
    for point in (np.zeros(len(space)), np.ones(len(space)), space.defaults, *rng.uniform(size=(3, len(space)))):
        values = space.complete(point)
        effect._run(np.zeros((effect.inputs, 64), np.float32), values)
        for index, parameter, value in zip(effect.indices, space, values, strict=True):
            text = _mended(processor.get_parameter_text(index))
            assert re.sub(r" \d+$", "", parameter.name) == re.sub(r" \d+$", "", described[index]["name"].strip())
            if parameter.choices or parameter.kind == "toggle":
                assert text.lower() in (parameter.text(value).lower(), f"{parameter.to_native(value):g}", ""), parameter
            else:
                span = abs(parameter.maximum - parameter.minimum)
                assert float(text) == pytest.approx(parameter.to_native(value), rel=1e-4, abs=1e-6 * span), parameter


@pytest.mark.slow
@pytest.mark.plugins
def test_an_equaliser_with_gains_from_a_64th_to_64_is_tame_at_random_settings() -> None:
    if lv2_bundles.bundle_of(EQUALISER) is None:
        pytest.skip("calf-plugins is not installed")
    with load(f"dawdreamer:{EQUALISER}") as effect:
        rng = np.random.default_rng(0)
        audio = (0.1 * rng.standard_normal((2, 4096))).astype(np.float32)
        peaks = [np.abs(effect.render(audio, rng.uniform(size=len(effect.parameters)))).max() for _ in range(20)]
        frequency = effect.parameters[effect.parameters.index("Freq 1")]
    assert (frequency.scale, frequency.unit, frequency.text(frequency.default)) == ("log", "Hz", "60 Hz")
    assert np.median(peaks) < 10.0
    assert max(peaks) < 1e4


@pytest.mark.plugins
def test_every_installed_effect_with_cv_ports_is_refused() -> None:
    bundles = [b for b in plugin_folders.installed("lv2") if b.name in ("fomp.lv2", "blop.lv2", "zam.lv2")]
    plugins = [plugin for bundle in bundles for plugin in describe_all(bundle)]
    with_cv = [p for p in plugins if p.of("cv") or p.of("cv", is_input=False)]
    assert not [p.uri for p in with_cv if not refusal(p)]


def test_host_range_is_the_line_that_juce_draws() -> None:
    assert HostRange(-60.0, 0.0, 0.5).native(0.25) == -45.0


@pytest.mark.plugins
def test_the_next_host_opens_with_the_ranges_that_the_first_one_read() -> None:
    """In plain values, as a host process sends them."""
    from blackbox_grad.hosts import ProcessPool

    with ProcessPool(1) as pool, load("dawdreamer:urn:zamaudio:ZamDelay") as here:
        there = pool.open(EffectSpec.of("dawdreamer:urn:zamaudio:ZamDelay"))
        assert there.parameters == here.parameters
        learnt = dict(there.spec.learnt)["measured"]
    again = DawDreamerPluginBackend().open("urn:zamaudio:ZamDelay", 44100.0, {"measured": learnt})
    first = DawDreamerPluginBackend().open("urn:zamaudio:ZamDelay", 44100.0, {})
    assert (again.parameters, tuple(again._ranges)) == (first.parameters, tuple(first._ranges))
    assert any(reach is not None and reach.high == 20000.0 for reach in again._ranges)
