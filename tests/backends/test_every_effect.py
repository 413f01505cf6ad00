"""Every effect of every backend keeps the promises of `Effect`."""

from __future__ import annotations

import pickle

import pytest
from effects_under_test import EFFECTS_UNDER_TEST

from blackbox_grad import EffectSpec
from blackbox_grad.testing import EFFECT_LAWS, check_effect

#: Relative errors that were measured, and which the effect has to declare itself. All others are bit-equal.
NOT_REPEATABLE: dict[str, float] = {}


@pytest.mark.parametrize("address", EFFECTS_UNDER_TEST)
def test_effect_keeps_every_law(address):
    result = check_effect(address)
    assert result.laws == tuple(name for name, _ in EFFECT_LAWS)
    assert result.repeatability <= NOT_REPEATABLE.get(address, 0.0)


def test_specs_travel():
    spec = EffectSpec.of("Reverb", parameters=["wet_level", "room_size"], fixed={"freeze_mode": "off"})
    assert pickle.loads(pickle.dumps(spec)) == spec
    with spec.open() as effect:
        assert effect.parameters.names == ("wet_level", "room_size")
