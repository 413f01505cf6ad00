"""Neutral settings: few parameters move, and the effect leaves its input alone."""

from __future__ import annotations

import numpy as np
import pytest

from blackbox_grad import EffectSpec, InProcessHost
from blackbox_grad.inspection import find_neutral
from blackbox_grad.inspection.neutral import NOTHING, _Distance
from blackbox_grad.parameters import blend

MDA = "dawdreamer:http://drobilla.net/plugins/mda"


@pytest.mark.parametrize(
    ("address", "liked", "moved"),
    [
        ("pedalboard-builtin:Chorus", {"mix": 0.7, "depth": 0.5}, {"mix"}),
        ("pedalboard-builtin:Gain", {"gain_db": "-17dB"}, {"gain_db"}),
        ("pedalboard-builtin:PeakFilter", {"gain_db": "11dB"}, {"gain_db"}),
        ("pedalboard-builtin:Reverb", {"wet_level": 0.8, "room_size": 0.9}, {"wet_level", "dry_level"}),
        (f"{MDA}/ThruZero", {"Mix": 0.8, "Depth": 0.9}, {"Mix"}),
        (f"{MDA}/Overdrive", {"Drive": 0.8, "Muffle": 0.5}, {"Drive", "Muffle"}),
    ],
)
def test_few_settings_move_until_nothing_is_heard(address: str, liked: dict[str, float | str], moved: set[str]) -> None:
    host = InProcessHost()
    info = host.open(EffectSpec.of(address))
    point = info.parameters.point(liked)
    found = find_neutral(host, info, point)
    assert found.distance_before > NOTHING
    assert set(found.moved) <= moved
    assert (found.kind, found.distance <= NOTHING) == ("nothing", True) or "Reverb" in address
    stay = [i for i, name in enumerate(info.parameters.names) if name not in found.moved]
    assert found.point[stay].tolist() == point[stay].tolist()
    # both ends, measured again
    ends = np.array([blend(info.parameters, found.point, point, amount) for amount in (0.0, 1.0)])
    assert _Distance(host, info)(ends) == pytest.approx([found.distance, found.distance_before])


def test_without_neutral_settings_it_is_the_defaults() -> None:
    host = InProcessHost()
    info = host.open(EffectSpec.of("pedalboard-builtin:PitchShift", fixed={"semitones": "3 st"}))
    found = find_neutral(host, info, [])
    assert (found.kind, found.moved, found.point.tolist()) == ("defaults", (), [])


def test_the_neutral_settings_of_an_instrument_are_its_defaults() -> None:
    host = InProcessHost()
    info = host.open(EffectSpec.of(f"{MDA}/DX10"))
    point = info.parameters.defaults
    point[3] = 0.9
    found = find_neutral(host, info, point)
    assert (found.kind, found.moved) == ("defaults", (info.parameters.names[3],))
    assert found.point.tolist() == info.parameters.defaults.tolist()
