"""Every effect of every backend keeps the promises of `Effect`."""

from __future__ import annotations

import pickle

import pytest
from effects_under_test import EFFECTS_UNDER_TEST

from blackbox_grad import EffectSpec, load
from blackbox_grad.testing import EFFECT_LAWS, check_effect

#: Relative errors that were measured, and which the effect has to declare itself. All others are bit-equal.
NOT_REPEATABLE: dict[str, float] = {}


@pytest.mark.parametrize("address", EFFECTS_UNDER_TEST)
def test_effect_keeps_every_law(address):
    result = check_effect(address)
    assert result.laws == tuple(name for name, _ in EFFECT_LAWS)
    assert result.repeatability <= NOT_REPEATABLE.get(address, 0.0)


@pytest.mark.parametrize("address", EFFECTS_UNDER_TEST)
def test_parameters_read_as_text_and_back(address):
    """What a parameter shows can be written back: `text` and `parse` are inverse to the digits shown."""
    with load(address, parameters="all") as effect:
        for parameter in effect.parameters:
            for value in (0.0, 0.31, 1.0):
                text = parameter.text(value)
                written = text if parameter.unit or parameter.choices or parameter.kind == "toggle" else f"{text} native"
                back = parameter.to_native(parameter.parse(written))
                span = abs(parameter.maximum - parameter.minimum)
                shown = parameter.to_native(parameter.snap(value))
                assert back == pytest.approx(shown, abs=2e-3 * span + 1e-3 * abs(shown)), (parameter.name, text)


def test_specs_travel():
    spec = EffectSpec.of("Reverb", parameters=["wet_level", "room_size"], fixed={"freeze_mode": "off"})
    assert pickle.loads(pickle.dumps(spec)) == spec
    with spec.open() as effect:
        assert effect.parameters.names == ("wet_level", "room_size")
