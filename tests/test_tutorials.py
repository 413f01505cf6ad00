"""The tutorials do what their pages say."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parent.parent / "docs" / "tutorials"
BUILTIN = "pedalboard-builtin:Distortion | pedalboard-builtin:LadderFilter"
REZFILTER = "dawdreamer:http://drobilla.net/plugins/mda/RezFilter"


@pytest.fixture(scope="module")
def tutorial():
    spec = importlib.util.spec_from_file_location("learn_hidden_settings", TUTORIALS / "learn_hidden_settings.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def told(run):
    """The parameters that can be told from the sound."""
    return [i for i in range(len(run.names)) if run.audibility.identifiable(i)]


def test_the_hidden_settings_of_a_builtin_are_found_and_drawn(tutorial, tmp_path, capsys):
    run = tutorial.learn(BUILTIN, steps=30)
    assert len(told(run)) == 4
    assert max(run.errors) < 0.03 < max((run.predictions[0] - run.hidden).abs())
    assert run.losses[-1] < 1e-3 * run.losses[0]
    tutorial.print_table(run)
    assert "LadderFilter: resonance" in capsys.readouterr().out
    tutorial.draw(run, tmp_path / "run.svg")
    assert "LadderFilter: cutoff_hz" in (tmp_path / "run.svg").read_text()


def test_parameters_that_make_up_for_each_other_are_named(tutorial):
    run = tutorial.learn("pedalboard-builtin:Gain | pedalboard-builtin:Gain", steps=10)
    first, second = run.names
    assert [run.verdict(0), run.verdict(1)] == [f"only together with {second}", f"only together with {first}"]
    assert told(run) == []
    assert sum(run.settings) == pytest.approx(float(sum(run.hidden)), abs=0.005)


@pytest.mark.plugins
def test_the_hidden_settings_of_a_plugin_approach_and_what_cannot_be_heard_is_named(tutorial):
    run = tutorial.learn(REZFILTER, steps=35)
    unheard = {name for i, name in enumerate(run.names) if run.verdict(i) == "cannot be heard"}
    assert unheard == {"Trigger", "Max Freq"}
    heard = told(run)
    assert len(heard) == 8
    start = (run.predictions[0] - run.hidden).abs()
    assert max(start[heard]) > 0.15
    assert sorted(run.errors[heard])[3] < 0.03  # half of them have arrived; the others take more steps
    assert run.losses[-1] < 0.05 * run.losses[0]
