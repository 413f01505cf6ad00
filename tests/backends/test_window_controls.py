"""Controls of a plug-in's window are held, and none of them is heard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from blackbox_grad import EffectSpec, Parameter, load
from blackbox_grad.effects.opening import open_effect
from blackbox_grad_backends.native import lv2_bundles
from blackbox_grad_backends.native.window_controls import hold_window_controls

LSP = "http://lsp-plug.in/plugins/lv2/"


def held(*names: str) -> list[str]:
    return [p.name for p in hold_window_controls(map(Parameter, names)) if not p.trainable]


@pytest.mark.parametrize(
    "name",
    [
        "Hue 3", "Hue Left 3", "Graph zoom", "FFT reactivity", "FFT visibility Left", "Analyzer Mode", "Input FFT graph enable",
        "Pause graph analysis", "Trigger level display", "Curve modelling visibility 2", "Show grid", "Filter inspect 2",
        "Inspect auto", "Display", "UI gain",
    ],
)  # fmt: skip
def test_what_only_the_window_shows_is_held(name: str) -> None:
    assert held("Gain", name) == [name]


@pytest.mark.parametrize(
    "names", [["Frequency shift", "Gain"], ["Zoom", "Dither"], ["Filter select", "Q"], ["Meters", "Reactivity"]]
)
def test_what_may_be_heard_is_free(names: Sequence[str]) -> None:
    assert held(*names) == []


def test_beside_a_display_doubtful_names_are_of_the_window_too() -> None:
    assert held("Zoom", "Analyzer Active", "Gain") == ["Zoom", "Analyzer Active"]
    assert held("Filter select", "Shift gain", "Graph zoom", "Filter type 1") == ["Filter select", "Shift gain", "Graph zoom"]


@pytest.mark.plugins
def test_a_zoom_that_is_heard_is_free() -> None:
    with load("dawdreamer:http://drobilla.net/plugins/mda/Dither", parameters="trainable") as effect:
        assert "Zoom" in effect.parameters.names


@pytest.mark.slow
@pytest.mark.parametrize(
    "uri",
    [
        *(LSP + name for name in ("para_equalizer_x16_stereo", "mb_compressor_mono", "crossover_stereo", "loud_comp_mono")),
        *(f"http://calf.sourceforge.net/plugins/{name}" for name in ("Equalizer12Band", "TransientDesigner", "Vocoder")),
        "http://gareus.org/oss/lv2/fil4#mono",
    ],
)
def test_no_control_that_is_held_is_heard(uri: str) -> None:
    if lv2_bundles.bundle_of(uri) is None:
        pytest.skip(f"{uri} is not installed")
    with open_effect(EffectSpec.of(f"dawdreamer:{uri}", 44100.0, "all")) as effect:
        space = effect.parameters
        shown = [i for i, p in enumerate(space.everything) if not p.trainable]
        assert shown
        x = np.random.default_rng(0).standard_normal((2, 16384)).astype(np.float32) * 0.2
        y = effect.render(x, space.defaults)
        for end in (0.0, 1.0):
            point = space.defaults
            point[shown] = end
            assert np.abs(effect.render(x, point) - y).max() <= 1e-6 * np.abs(y).max()
