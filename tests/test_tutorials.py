"""The tutorials do what their pages say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

TUTORIALS = Path(__file__).parent.parent / "docs" / "tutorials"
BUILTIN = "pedalboard-builtin:LadderFilter"
COMBO = "dawdreamer:http://drobilla.net/plugins/mda/Combo"


@pytest.fixture
def tutorial(monkeypatch):
    monkeypatch.syspath_prepend(str(TUTORIALS))
    import learn_hidden_settings

    yield learn_hidden_settings
    del sys.modules["learn_hidden_settings"]


@pytest.fixture
def results(tutorial):
    import write_results

    yield write_results
    del sys.modules["write_results"], sys.modules["set_a_synth"]


def assert_learnt(run):
    """Every parameter that the sound determines was far off, and is found."""
    start = (run.predictions[0] - run.hidden).abs()
    assert run.told
    assert start[run.told].max() > 0.1
    assert run.errors[run.told].max() < 0.03


def test_the_hidden_settings_of_a_builtin_are_found_and_drawn(tutorial, tmp_path, capsys):
    runs = [tutorial.learn(BUILTIN, steps=40, seed=seed) for seed in (0, 1)]
    for run in runs:
        assert len(run.told) == 3
        assert_learnt(run)
    tutorial.print_table(runs[0])
    assert "cutoff_hz" in capsys.readouterr().out
    tutorial.draw(runs, tmp_path / "run.svg")
    assert "cutoff_hz" in (tmp_path / "run.svg").read_text()


def test_parameters_that_make_up_for_each_other_are_named(tutorial):
    run = tutorial.learn("pedalboard-builtin:Gain | pedalboard-builtin:Gain", steps=20)
    first, second = run.names
    assert [run.verdict(0), run.verdict(1)] == [f"only together with {second}", f"only together with {first}"]
    assert run.told == []
    assert run.settings.sum(dim=1).tolist() == pytest.approx([float(run.hidden.sum())] * 2, abs=0.005)


@pytest.mark.slow
@pytest.mark.plugins
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_hidden_settings_of_an_lv2_are_found(tutorial, seed):
    run = tutorial.learn(COMBO, steps=60, seed=seed)
    assert len(run.told) == len(run.names) == 5
    assert_learnt(run)


@pytest.mark.slow
@pytest.mark.plugins
def test_the_hidden_settings_of_a_vst3_are_found(tutorial):
    run = tutorial.learn("pedalboard:ZaMaximX2.vst3", steps=30)
    assert len(run.told) == len(run.names) == 3
    assert_learnt(run)


@pytest.mark.slow
@pytest.mark.plugins
def test_a_band_that_cannot_be_heard_is_named(tutorial):
    run = tutorial.learn("pedalboard:ZamGEQ31.vst3", steps=0)
    assert [name for i, name in enumerate(run.names) if i not in run.told] == ["20801Hz"]
    assert run.verdict(len(run.names) - 1) == "cannot be heard"


@pytest.mark.plugins
def test_a_network_learns_to_set_a_synthesiser_for_tones_that_it_never_heard(monkeypatch):
    monkeypatch.syspath_prepend(str(TUTORIALS))
    import set_a_synth

    found = set_a_synth.learn(steps=25)
    assert found.trained < 0.7 * min(found.untrained, found.middle)


def test_leeway_is_the_largest_error_that_is_not_heard(tutorial):
    run = tutorial.learn("pedalboard-builtin:Gain | pedalboard-builtin:LadderFilter", steps=0)
    level, jacobian = 1e-3, run.jacobian.double()
    for i, bound in enumerate(run.leeway(level)):
        stiffness = jacobian.T @ jacobian + level**2 * torch.eye(len(run.names), dtype=torch.float64)
        direction = torch.linalg.inv(stiffness)[i]  # where the bound is reached
        error = direction * bound / direction[i]
        heard = (jacobian @ error).norm() ** 2 + (level * error.norm()) ** 2
        assert float(heard) == pytest.approx(level**2, rel=1e-6)
    assert all(run.leeway(level) < run.leeway(10 * level))


def test_results_are_written_into_the_page_and_kept(results, tmp_path, monkeypatch):
    page = tmp_path / "page.md"
    marks = "".join(f"<!-- {mark} -->\nprevious\n<!-- end -->\n" for mark in ("learnt", "hard", "errors of Filter", "synth"))
    page.write_text(f"before\n{marks}after")
    places = {"PAGE": page, "FIGURES": tmp_path, "KEPT": tmp_path / "kept", "SEEDS": (0,)}
    for name, value in (places | {"LEARNT": {"Filter": BUILTIN}, "HARD": {}, "synth": lambda: "of a synthesiser"}).items():
        monkeypatch.setattr(results, name, value)
    results.main()
    written = page.read_text()
    assert "previous" not in written
    assert (written[:6], written[-5:]) == ("before", "after")
    assert all(text in written for text in ("| Filter | 0 |", "3 of 3", "| cutoff_hz |", "of a synthesiser"))
    assert (tmp_path / "learn-filter.svg").exists()
    monkeypatch.setattr(results, "learn", None)  # not called again
    results.main()
    assert page.read_text() == written
