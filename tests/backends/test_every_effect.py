"""Every effect of every backend keeps the promises of `Effect`."""

from __future__ import annotations

import pickle

import pytest
from effects_under_test import EFFECTS_UNDER_TEST, FROM_DEBIAN, SELF_CONTAINED

from blackbox_grad import EffectSpec, ProcessPool, load
from blackbox_grad.effects import backend, backend_names
from blackbox_grad.testing import EFFECT_LAWS, check_effect

#: Measured relative errors, which the effect must declare. All other effects are bit-equal.
NOT_REPEATABLE: dict[str, float] = {}


@pytest.mark.parametrize("address", EFFECTS_UNDER_TEST)
def test_effect_keeps_every_law(address):
    result = check_effect(address)
    assert result.laws == tuple(name for name, _ in EFFECT_LAWS)
    assert result.repeatability <= NOT_REPEATABLE.get(address, 0.0)


@pytest.mark.plugins
@pytest.mark.parametrize("address", ["pedalboard:ZamTube.vst3", "dawdreamer:ZamTube.vst3"])
@pytest.mark.slow
def test_what_the_first_opening_read_holds_for_the_next_however_busy_the_machine(address, monkeypatch):
    with load(address, parameters="all") as effect:
        spec, first = effect.spec, effect.parameters
    monkeypatch.setattr("blackbox_grad_backends.native.plugin_parameters.TEXT_BUDGET", 0.0)
    with load(address, parameters="all") as effect:
        assert effect.parameters != first, "without the texts there are fewer choices"
    with load(pickle.loads(pickle.dumps(spec))) as effect:
        assert effect.parameters == first


def test_specs_travel():
    spec = EffectSpec.of("Reverb", parameters=["wet_level", "room_size"], fixed={"freeze_mode": "off"})
    assert pickle.loads(pickle.dumps(spec)) == spec
    with load(spec) as effect:
        assert effect.parameters.names == ("wet_level", "room_size")


def test_every_backend_has_effects_under_test():
    """A backend that is registered and not in the list would be tested by nobody."""
    ours = {name for name in backend_names() if type(backend(name)).__module__.startswith("blackbox_grad_backends")}
    assert {address.partition(":")[0] for address in (*SELF_CONTAINED, *FROM_DEBIAN)} == ours


@pytest.mark.plugins
@pytest.mark.parametrize(
    "address",
    ["pedalboard:ZamCompX2.vst3", "dawdreamer:ZamDelay-vst.so", "dawdreamer:http://drobilla.net/plugins/mda/Delay"],
)
def test_what_a_plugin_taught_reaches_other_hosts_whole(address):
    with load(address) as effect, ProcessPool(hosts=1) as pool:
        here, there = dict(effect.spec.learnt), dict(pool.open(EffectSpec.of(address)).spec.learnt)
    assert here
    assert here == there
