"""Style matching where nothing was trained: any effect, any chain, steps and switches, and no effect at all."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from blackbox_grad import audio_files
from blackbox_grad.errors import BlackboxGradError, EstimatorError, NonFiniteAudioError, RenderError
from blackbox_grad_adapters.style_matching.commands import app
from blackbox_grad_adapters.style_matching.matching.quest import Quest
from blackbox_grad_adapters.style_matching.matching.search import StyleSearch

MDA = "dawdreamer:http://drobilla.net/plugins/mda/"
FILTER = "pedalboard-builtin:LadderFilter"
TREMOLO = (
    'faust:import("stdfaust.lib"); process = _ * (1 - hslider("depth", 0.5, 0, 1, 0.01)'
    ' * (0.5 + 0.5 * os.osc(hslider("rate [unit:Hz]", 4, 1, 12, 0.1)))) : fi.lowpass(2,'
    ' hslider("cut [unit:Hz]", 2000, 200, 8000, 1));'
)
#: It always distorts.
FUZZ = 'faust:import("stdfaust.lib"); process = *(hslider("drive", 50, 30, 90, 1)) : ma.tanh;'
RATE = 24_000.0


def guitar(half: int) -> np.ndarray:
    audio, own = audio_files.example()
    sound = audio_files.resample(audio[:1], own, RATE)
    middle = sound.shape[1] // 2
    return sound[:, :middle] if half == 0 else sound[:, middle:]


def through(search: StyleSearch, settings: dict[str, float]) -> np.ndarray:
    """Another part of the recording, through the effect."""
    p = search.path.effect.parameter_space.point(settings)
    with torch.no_grad():
        return search.path(torch.from_numpy(guitar(1))[None], torch.from_numpy(p).float()[None])[0].numpy()


@pytest.mark.parametrize(
    ("effect", "settings"),
    [
        ("pedalboard:ZamEQ2.vst3", {"Boost/Cut 1": 1.0, "Frequency 1": 0.5, "Boost/Cut L": 0.0, "Boost/Cut H": 0.0}),
        (f"{MDA}Bandisto", {"L Dist": 0.9, "M Dist": 0.9}),
        (TREMOLO, {"depth": 0.9, "cut": 0.05}),
        (f"{FILTER} | pedalboard-builtin:Chorus", {"LadderFilter: cutoff_hz": 0.3, "Chorus: mix": 0.5}),
    ],
    ids=["VST3", "LV2", "Faust", "chain"],
)
def test_any_effect_comes_much_nearer_to_a_reference_made_with_it(effect: str, settings: dict[str, float]) -> None:
    search = StyleSearch(effect)
    found = search.match(guitar(0), through(search, settings), RATE, renders=60)
    assert found.renders == 60
    assert found.distance < 0.7 * found.distance_before
    assert not found.bypassed
    assert found.y.shape == guitar(0).shape
    assert set(found.settings()) == set(search.path.names)


def test_a_stepped_parameter_is_searched() -> None:
    search = StyleSearch(FILTER, "in-process")
    space = search.path.effect.parameter_space
    mode = space[space.index("mode")]
    for level in ("LPF12", "HPF24"):
        reference = through(search, {"mode": mode.parse(level), "cutoff_hz": 0.5, "resonance": 0.1, "drive": 0.0})
        found = search.match(guitar(0), reference, RATE, renders=60)
        other = {"LPF12": "HP", "HPF24": "LP"}[level]
        assert found.settings()["mode"][:2] != other


def test_a_reference_without_effect_is_answered_by_bypass() -> None:
    x = guitar(0)
    found = StyleSearch(FUZZ, "in-process").match(x, 0.5 * np.roll(x, 9000, axis=1), RATE, renders=24)
    assert found.bypassed
    np.testing.assert_array_equal(found.y, x)
    assert found.distance == found.distance_before
    assert any("bypass" in line for line in found.remarks)
    assert found.to_json()["bypassed"] is True


def test_the_same_seed_gives_the_same_settings() -> None:
    search = StyleSearch(FILTER, "in-process")
    reference = through(search, {"cutoff_hz": 0.3})
    first, again = (search.match(guitar(0), reference, RATE, renders=20, seed=3).p for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_a_part_that_made_nothing_falls_out_and_the_others_stay() -> None:
    search = StyleSearch(f"{FILTER} | pedalboard-builtin:Delay", "in-process", order="free")
    reference = through(search, {"LadderFilter: cutoff_hz": 0.3, "Delay: mix": 0.0})
    found = search.match(guitar(0), reference, RATE, renders=150)
    tried = {change.what: change for change in found.changes}
    assert {"LadderFilter falls out", "Delay falls out", "Delay before LadderFilter"} <= set(tried)
    assert not tried["LadderFilter falls out"].taken
    assert tried["LadderFilter falls out"].distance > tried["LadderFilter falls out"].distance_before
    assert found.info.name == " | ".join(next((c.chain for c in found.changes if c.taken), ("LadderFilter", "Delay")))
    assert [line for line in found.remarks if "→" in line]
    json.dumps(found.to_json())
    assert search.path.effect.info.name == "LadderFilter | Delay"  # it is as it was made, for the next match


def test_too_few_renders_for_other_orders_are_said() -> None:
    search = StyleSearch(f"{FILTER} | pedalboard-builtin:Delay", "in-process", order="free")
    with pytest.warns(UserWarning, match=r"16 renders are too few to try other orders; give (\d+) or more"):
        found = search.match(guitar(0), guitar(1), RATE, renders=16)
    assert found.changes == ()


def test_ctrl_c_keeps_the_best() -> None:
    search = StyleSearch(FILTER, "in-process")
    reference, seen = through(search, {"cutoff_hz": 0.3}), []

    def press(progress):
        seen.append(progress)
        if progress.renders >= 16 and len(seen) < 4:
            os.kill(os.getpid(), signal.SIGINT)

    found = search.match(guitar(0), reference, RATE, renders=300, on_progress=press)
    assert found.interrupted
    assert found.renders < 100
    assert found.distance < found.distance_before
    assert all(p.seconds_left >= 0 and p.budget == 300 for p in seen)


def test_ctrl_c_before_any_settings_ends_it() -> None:
    search = StyleSearch(FILTER, "in-process")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Quest, "_presets", lambda quest, renders: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            search.match(guitar(0), guitar(1), RATE, renders=300)


def test_a_render_that_fails_leaves_the_best_so_far() -> None:
    search = StyleSearch(FILTER, "in-process")
    reference = through(search, {"cutoff_hz": 0.3})

    def fail(progress):
        if progress.renders >= 16:
            raise RenderError("the host of LadderFilter crashed")

    with pytest.warns(UserWarning, match=r"ended after \d+ renders, with the best settings so far: the host of LadderFilter"):
        found = search.match(guitar(0), reference, RATE, renders=300, on_progress=fail)
    assert not found.interrupted
    assert found.distance < found.distance_before


def test_an_effect_that_is_always_silent_is_said_to_be() -> None:
    with pytest.raises(NonFiniteAudioError, match="not silent"):
        StyleSearch('faust:process = *(hslider("gain", 0.5, 0, 1, 0.1) * 0);', "in-process").match(
            guitar(0), guitar(1), RATE, renders=8
        )


def test_too_few_renders_and_an_unknown_order_are_refused() -> None:
    with pytest.raises(EstimatorError, match="8 or more"):
        StyleSearch(FILTER, "in-process").match(guitar(0), guitar(1), RATE, renders=3)
    with pytest.raises(EstimatorError, match="'given' and 'free'"):
        StyleSearch(FILTER, "in-process", order="any")  # type: ignore[arg-type]


@pytest.fixture
def files(tmp_path):
    search = StyleSearch(FILTER, "in-process")
    paths = tmp_path / "in.wav", tmp_path / "reference.wav"
    for path, audio in zip(paths, (guitar(0), through(search, {"cutoff_hz": 0.3})), strict=True):
        audio_files.write(path, audio, RATE)
    return [str(path) for path in paths]


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_the_command_says_its_way_first_and_writes_everything(files, tmp_path) -> None:
    written = [tmp_path / name for name in ("out.wav", "page.html", "settings.json")]
    flags = [f"{flag}={path}" for flag, path in zip(("-o", "--report", "--parameters"), written, strict=True)]
    flags[0:1] = ["-o", str(written[0])]
    done = run("match", "--effect", FILTER, "--input", files[0], "--reference", files[1], "--renders", "24", *flags)
    assert done.exit_code == 0, done.output
    first, *progress = done.stderr.strip().splitlines()
    assert "a search for 4 settings with 24 renders, as --renders asks" in first
    assert "s left" in "".join(progress)
    assert all(path.exists() for path in written)
    assert json.loads(written[2].read_text())["renders"] == 24


def test_without_weights_it_searches_unasked(files) -> None:
    done = run("match", FILTER, *files, "--renders", "8", "--json")
    assert json.loads(done.stdout)["name"] == "LadderFilter"
    from blackbox_grad_adapters.style_matching.commands.searching import check_way

    assert check_way(FILTER, None, 0, None, "given") == FILTER
    assert check_way("Overdrive", None, 0, None, "given") == ""
    assert check_way("Overdrive", None, 0, 50, "given").endswith("mda/Overdrive")
    assert check_way(f"{FILTER} | Overdrive", None, 0, None, "given").endswith("mda/Overdrive")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--refine", "9"], "--renders 9"),
        (["--refine", "9", "--renders", "9"], "leave one out"),
        (["--model", "x", "--order", "free"], "leave one out"),
        (["--order", "free"], "is for a chain"),
    ],
)
def test_options_of_different_ways_are_refused(files, options, words) -> None:
    done = run("match", FILTER, *files, *options)
    assert done.exit_code != 0
    assert words in " ".join((done.output + str(done.exception)).split())
    assert done.exit_code == 2 or isinstance(done.exception, BlackboxGradError)
