"""A first look tells parameters that are heard from dead ones, and finds the switches that wake them."""

from __future__ import annotations

import dataclasses
import json
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import blackbox_grad as bg
from blackbox_grad import cache, errors
from blackbox_grad.effects import backend as find_backend
from blackbox_grad.effects.first_look import FirstLook, first_look, unlooked
from blackbox_grad.effects.switches import Switch
from blackbox_grad.parameters import Parameter, ParameterSpace

#: A band that a checkbox holds off; a delay of a second; an exciter with a menu; a gain that nothing listens to; a level.
FAUST = """faust:
import("stdfaust.lib");
band = fi.peak_eq(hslider("Band gain", 0, -12, 12, 0.01), hslider("Band freq", 1000, 100, 8000, 1), 200);
active = checkbox("Band active");
mode = nentry("Mode [style:menu{'none':0;'soft':1;'hard':2}]", 0, 0, 2, 1);
drive = hslider("Drive", 1, 1, 10, 0.01);
shaped(x) = select3(mode, x, ma.tanh(drive * x), max(-0.1, min(0.1, drive * x)));
echo = + ~ (de.delay(65536, 40000) * hslider("Feedback", 0.3, 0, 0.9, 0.01));
idle = hslider("Idle", 0.5, 0, 1, 0.01) > 2;
channel(x) = (x <: select2(active, _, band)) : shaped : echo : *(hslider("Level", 0.5, 0.01, 1, 0.01) + idle);
process = channel, channel;"""


@pytest.fixture(autouse=True)
def _nothing_known(tmp_path, monkeypatch):
    """No look of another run is remembered, and nothing was said."""
    monkeypatch.setattr("blackbox_grad.effects.first_look._warned", set())
    usual = cache.cache_folder
    monkeypatch.setattr(cache, "cache_folder", lambda kind: Path(tmp_path) / kind if kind == "looks" else usual(kind))


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """A host process with an empty cache folder."""
    with bg.ProcessPool(hosts=1) as hosts:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
            hosts.open(bg.EffectSpec.of("reference:gain"))
        yield hosts


@pytest.fixture
def here():
    host = bg.InProcessHost()
    yield host
    host.close()


def look_at(effect, host, **options):
    return host.open(bg.EffectSpec.of(effect, **options)).look


# what is heard


def test_dead_parameters_are_told_from_those_that_are_heard(here):
    look = look_at(FAUST, here)
    assert set(look.dead) == {"Band gain", "Band freq", "Drive", "Idle"}, "the echo comes after a second, and is heard"
    assert not look.unknown


def test_a_switch_is_proposed_for_what_it_wakes(here):
    look = look_at(FAUST, here)
    assert {(s.name, s.setting): set(s.wakes) for s in look.switches} == {
        ("Band active", "on"): {"Band gain", "Band freq"},
        ("Mode", "soft"): {"Drive"},
    }
    fixed = {s.name: s.setting for s in look.switches}
    assert look_at(FAUST, here, fixed=fixed).dead == ("Idle",)


def test_what_the_caller_fixed_is_no_switch(here):
    assert [s.name for s in look_at(FAUST, here, fixed={"band_active": "off"}).switches] == ["Mode"]


def test_a_switch_that_is_free_holds_nothing_off(here):
    assert look_at(FAUST, here, parameters="trainable").dead == ("Idle",)


@pytest.mark.parametrize(
    "address",
    [
        "reference:biquad",
        "pedalboard-builtin:Delay",
        "pedalboard-builtin:NoiseGate",
        "pedalboard-builtin:Reverb",
        pytest.param("dawdreamer:http://drobilla.net/plugins/mda/Delay", marks=pytest.mark.plugins),
        pytest.param("dawdreamer:http://drobilla.net/plugins/mda/MultiBand", marks=pytest.mark.plugins),
        pytest.param("pedalboard:ZamEQ2.vst3", marks=pytest.mark.plugins),
        pytest.param("pedalboard:ZamDelay.vst3", marks=pytest.mark.plugins),
        "pedalboard-builtin:Chorus | reference:gain",
    ],
)
def test_nothing_is_dead_where_everything_is_heard(address, here):
    assert look_at(address, here) == FirstLook()


@pytest.mark.plugins
@pytest.mark.parametrize(
    ("name", "heard", "switches"),
    [
        ("Equalizer5Band", {"Input Gain", "Output Gain"}, {"LS Active", "HS Active", "F1 Active", "F2 Active", "F3 Active"}),
        pytest.param("MultibandCompressor", None, {"Bypass 1", "Bypass 2", "Bypass 3", "Bypass 4"}, marks=pytest.mark.slow),
    ],
)
def test_bands_that_toggles_hold_off(name, heard, switches, here):
    uri = f"http://calf.sourceforge.net/plugins/{name}"
    if uri not in find_backend("dawdreamer").scan():
        pytest.skip("calf-plugins is not installed")
    info = here.open(bg.EffectSpec.of(uri))
    found = set(info.parameters.names) - set(info.look.dead)
    assert heard in (None, found)
    assert {s.name for s in info.look.switches} == switches
    fixed = {s.name: s.setting for s in info.look.switches}
    woken = {name for s in info.look.switches for name in s.wakes}
    audible = here.open(bg.EffectSpec.of(uri, parameters="audible", fixed=fixed)).parameters.names
    assert set(audible) >= found | woken


# "audible"


def test_audible_parameters_are_those_that_are_heard_in_every_host(pool):
    spec = bg.EffectSpec.of(FAUST, parameters="audible")
    assert pool.open(spec).parameters.names == ("Feedback", "Level")
    layer = bg.DifferentiableEffect(spec, host=pool, estimator="finite-difference")
    p = torch.tensor([[0.5, 0.5], [0.2, 0.8], [0.7, 0.3], [0.4, 0.4]], requires_grad=True)
    layer(torch.randn(4, 2, 60000, generator=torch.Generator().manual_seed(0)) / 8, p).square().mean().backward()
    assert p.grad.all(), "no gradient is 0"
    with bg.load(spec) as effect:
        assert effect.parameters.names == ("Feedback", "Level")
        again = bg.chain(effect, "reference:gain")
    assert len(pool.open(again).parameters) == 3


def test_where_nothing_is_heard_audible_says_what_to_turn_on(pool):
    silent = 'faust:process = *(select2(checkbox("On"), 1, hslider("Gain", 0.5, 0, 1, 0.01)));'
    with pytest.raises(errors.ParameterError, match=r"all 1 parameters change nothing.*turn on 'On'"):
        pool.open(bg.EffectSpec.of(silent, parameters="audible"))


# it is said once


def test_a_layer_and_load_say_it_once(pool):
    for make in (lambda: bg.DifferentiableEffect(FAUST, host=pool), lambda: bg.load(FAUST, fixed={"Level": 0.5}).close()):
        with pytest.warns(errors.DeadParameterWarning) as caught:
            make()
        said = str(caught[0].message)
        assert "parameters change nothing, so their gradient is 0: Band freq, Band gain, Drive, Idle." in said
        assert "turn on 'Band active'" in said
        assert "fixed={" in said
        assert "'Mode': 'soft'" in said
        assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            make()


def test_audible_parameters_and_hosts_need_no_warning(pool):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bg.DifferentiableEffect(FAUST, parameters="audible", host=pool)
        pool.open(bg.EffectSpec.of(FAUST))


# it is remembered


@pytest.mark.filterwarnings("ignore::blackbox_grad.errors.DeadParameterWarning")
def test_the_next_host_and_the_next_process_know(pool, tmp_path, monkeypatch):
    spec = bg.EffectSpec.of(FAUST)
    known = pool.open(spec)
    bg.load(spec).close()
    assert list(tmp_path.rglob("looks/*.json"))

    def no_look(*_):
        raise AssertionError("nobody needs to look again")

    monkeypatch.setattr("blackbox_grad.effects.opening.first_look", no_look)
    with bg.load(spec) as effect:  # from the folder
        assert effect.look == known.look
    for file in tmp_path.rglob("looks/*.json"):
        file.unlink()
    with bg.load(known.spec) as effect:  # from the spec
        assert effect.look == known.look
    with pytest.raises(AssertionError):  # another selection is looked at anew
        bg.load(dataclasses.replace(known.spec, fixed=(("Mode", "soft"),)))


def test_who_does_not_ask_waits_for_no_look(monkeypatch):
    monkeypatch.setattr("blackbox_grad.effects.opening.first_look", lambda *_: pytest.fail("nobody asked"))
    host = bg.InProcessHost()
    assert host.open(unlooked(bg.EffectSpec.of(FAUST))).look == FirstLook()
    assert host.open(bg.EffectSpec.of(FAUST, parameters=[])).look is None


@pytest.mark.parametrize("content", ["", "{}", '{"stamp": 1, "found": 3}', '[["a"]]', '"text"'])
def test_a_damaged_cache_is_looked_through_again(content, tmp_path):
    with bg.load("reference:gain") as effect:
        known = effect.look
    (file,) = tmp_path.rglob("looks/*.json")
    stamp = json.loads(file.read_text())["stamp"]
    for damaged in (content, json.dumps({"stamp": stamp, "found": content})):
        file.write_text(damaged)
        with bg.load("reference:gain") as effect:
            assert effect.look == known


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize("fault", ["crash", "hang"])
def test_a_look_that_kills_its_host_is_not_repeated(fault, tmp_path, monkeypatch):
    spec = bg.EffectSpec("faulty:" + fault, options=(("look", True),))
    with bg.ProcessPool(hosts=1, open_limit=3.0) as hosts:
        assert hosts.open(spec).look == FirstLook()
        assert hosts.replaced <= 1
        x, p = np.ones((1, 1, 8), np.float32), np.full((1, 1), 0.25)
        assert (hosts.render_batch(spec, x, p)[0] == 0.25).all()


# what a look cannot tell


def space_of(*parameters):
    space = ParameterSpace(parameters)
    return space.select("continuous")


def test_what_noise_may_hide_is_unknown_and_not_dead():
    rng = np.random.default_rng(0)

    def noisy(audio, values):
        """Equal renders differ by about 1 %. The second parameter changes less than that, the first more."""
        return audio * (1 + values[0] + 1e-4 * values[1]) + 0.01 * audio * rng.standard_normal(audio.shape)

    found = first_look(noisy, space_of(Parameter("strong"), Parameter("faint")), 44100, 1, 0.0)
    assert found == FirstLook(unknown=("faint",))
    assert first_look(noisy, space_of(Parameter("strong"), Parameter("faint")), 44100, 1, np.inf).dead == ()


def test_what_rounding_changes_is_not_heard():
    def rounding(audio, values):
        return audio * (1 + 1e-8 * values[1]) + values[0]

    assert first_look(rounding, space_of(Parameter("offset"), Parameter("rounding")), 44100, 1, 0.0).dead == ("rounding",)


def test_a_setting_that_the_effect_refuses_does_not_end_the_look():
    def refusing(audio, values):
        if values[1] > 0.8:
            raise RuntimeError("not in the mood")
        return audio * (1 + values[0] + (values[2] > 0.5) * values[3])

    space = space_of(Parameter("a"), Parameter("refuses"), Parameter("on", "toggle", 0.0), Parameter("b"))
    found = first_look(refusing, space, 44100, 1, 0.0)
    assert found.unknown == ("refuses",)
    assert found.dead == ("b",)
    assert found.switches == (Switch("on", "on", ("b",)),)


def test_a_slow_effect_is_not_looked_at_for_long(monkeypatch):
    renders = []

    def slow(seconds):
        def render(audio, values):
            renders.append(1)
            until = time.thread_time() + seconds
            while time.thread_time() < until:
                pass
            return audio * values[0]

        return render

    space = space_of(*(Parameter(f"p{i}") for i in range(50)))
    monkeypatch.setattr("blackbox_grad.effects.first_look._BUDGET", 0.3)
    found = first_look(slow(0.2), space, 44100, 1, 0.0)
    assert len(renders) == 1
    assert set(found.unknown) == {p.name for p in space}
    renders.clear()
    found = first_look(slow(0.02), space, 44100, 1, 0.0)
    assert len(renders) < 20, "it stops after 0.3 seconds of work"
    assert found.dead == ()


@pytest.mark.parametrize("count", [3, 40, 600])
def test_the_number_of_renders_is_bounded(count):
    renders = []

    def half(audio, values):
        renders.append(1)
        return audio[:, :64] * (1 + values[: count // 2].sum())

    space = space_of(*(Parameter(f"p{i}") for i in range(count)))
    found = first_look(half, space, 44100, 1, 0.0)
    assert len(found.dead) == count - count // 2
    assert len(renders) <= 3 * count + 40


def test_bands_are_found_by_their_numbers_in_few_renders():
    """16 bands of three parameters, each held off by the type of its filter, beside other controls of each band."""
    renders = []
    parameters = [Parameter("level")]
    for band in range(16):
        parameters += [Parameter(f"{what} {band}") for what in ("gain", "frequency", "quality")]
        parameters += [Parameter(f"solo {band}", "toggle", 0.0), Parameter(f"mute {band}", "toggle", 0.0)]
        parameters.append(Parameter(f"type {band}", "stepped", 0.0, 5, choices=("off", "bell", "low", "high", "notch")))
    space = space_of(*parameters)
    index = {p.name: i for i, p in enumerate(space.everything)}

    def equaliser(audio, values):
        renders.append(1)
        total = 1 + values[0]
        for band in range(16):
            kind = round(4 * values[index[f"type {band}"]])
            gain, frequency, quality = (values[index[f"{what} {band}"]] for what in ("gain", "frequency", "quality"))
            total += (kind > 0) * (frequency + quality) + (kind == 1) * gain
        return audio[:, :64] * total

    found = first_look(equaliser, space, 44100, 1, 0.0)
    assert len(found.dead) == 48
    assert {(s.name, s.setting, len(s.wakes)) for s in found.switches} == {(f"type {band}", "bell", 3) for band in range(16)}
    assert len(renders) < 1000


# no gradient is 0 without a word


def layer_and_point(address="reference:gain", **options):
    layer = bg.DifferentiableEffect(address, host="in-process", **options)
    return layer, torch.full((2, len(layer.parameter_space)), 0.5, requires_grad=True)


@pytest.mark.parametrize("mode", ["cotangent", "loss"])
def test_a_gradient_that_is_0_everywhere_has_a_cause(mode):
    layer, p = layer_and_point()
    x = torch.zeros(2, 1, 64)

    def backward():
        value = (
            layer.loss(x, p, lambda y: (y - 1).square().mean((1, 2))) if mode == "loss" else (layer(x, p) - 1).square().mean()
        )
        value.backward()

    with pytest.warns(errors.DeadParameterWarning, match="the gradient is 0 for all items: the audio x is silent"):
        backward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        backward()  # once is enough


def test_at_a_minimum_a_gradient_of_0_is_right():
    layer, p = layer_and_point()
    x = torch.ones(2, 1, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (layer(x, p) - layer(x, p).detach()).square().mean().backward()
        layer(x, p).mul(0.0).sum().backward()
    assert not p.grad.any()


def test_a_step_too_short_has_a_cause():
    steps = 'faust:process = *(0.1 * int(10 * hslider("Gain", 0.52, 0, 1, 0.0001)));'
    layer, p = layer_and_point(steps, estimator="finite-difference:step=0.001")
    p.data += 0.03
    with pytest.warns(errors.DeadParameterWarning, match="every probe gave the same value. A larger step"):
        layer(torch.ones(2, 1, 64), p).square().mean().backward()
