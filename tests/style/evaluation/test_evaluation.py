"""The evaluation: exact bounds, results that survive interruptions, correct intervals, and the command with its page."""

from __future__ import annotations

import csv
import json
import math
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from blackbox_grad import audio_files
from blackbox_grad_adapters.style_matching.commands import app
from blackbox_grad_adapters.style_matching.data.pairs import PairDataset
from blackbox_grad_adapters.style_matching.effect_path import EffectPath
from blackbox_grad_adapters.style_matching.evaluation import tables as evaluation_tables
from blackbox_grad_adapters.style_matching.evaluation.methods import (
    Method,
    evaluate,
    mark,
    model_free,
    nearest,
    of_model,
    one_by_one,
)
from blackbox_grad_adapters.style_matching.evaluation.results import METHODS, MODELS, ONE_WRONG, ResultsError, Sheet, results
from blackbox_grad_adapters.style_matching.evaluation.summary import mean, ratio, summaries
from blackbox_grad_adapters.style_matching.matching.against import Against
from blackbox_grad_adapters.style_matching.matching.band import Band
from blackbox_grad_adapters.style_matching.matching.guard import ENOUGH
from blackbox_grad_adapters.style_matching.matching.matcher import StyleMatcher
from blackbox_grad_adapters.style_matching.measures.metrics import METRICS
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.controller import Controller
from blackbox_grad_adapters.style_matching.networks.encoder import Encoder

DRIVE, REVERB = "pedalboard-builtin:Distortion", "pedalboard-builtin:Reverb"
LENGTH = 22_528


def model(folder, effect=DRIVE, seed=0):
    """The folder of a run without training."""
    torch.manual_seed(seed)
    path, encoder = EffectPath(effect), Encoder(length=LENGTH, latent=16)
    folder.mkdir(exist_ok=True)
    encoder.save(folder / shipped.ENCODER, {})
    controller = Controller(16, path.size)
    torch.nn.init.normal_(controller.head.weight, std=0.05)
    header = {"effect": effect, "parameters": list(path.names), "encoder": encoder.fingerprint}
    controller.save(folder / shipped.CONTROLLER, header)
    return folder


@pytest.fixture(scope="module")
def matcher(tmp_path_factory):
    return StyleMatcher.load(model(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def pairs(matcher, tracks):
    return PairDataset(matcher.path, tracks, length=LENGTH, seed=5, clean=0.4, augmentation=None)


def measured(pairs, methods, folder, examples=5, kind="music"):
    evaluate(pairs, kind, methods, Sheet(folder, pairs.path.spec.address, kind), examples)
    return results(folder)


def test_the_truth_is_the_bound_and_the_dry_input_the_measure(pairs, matcher, tmp_path):
    rows = measured(pairs, model_free(matcher.path) | of_model(matcher), tmp_path)
    assert {row["index"] for row in rows if row["clean"]}, "no example without effect"
    for row in rows:
        if row["method"] == "truth" or (row["method"] == "dry" and row["clean"]):
            assert all(
                row[name] == pytest.approx(0.0, abs=1e-4)
                for name, metric in METRICS.items()
                if metric.error and name != "cdpam"
            ), row
        elif row["method"] != "guarded":  # which may be the dry input
            assert row["mrstft"] > 0
        assert math.isnan(row["pesq"])
    found = {s.method: s for s in summaries(rows)}
    assert set(found) == {"dry", "middle", "random", "controller", "guarded", "truth"}
    ratios = {method: {n: r for n, r in s.ratios.items() if n != "cdpam"} for method, s in found.items()}
    assert all(ratio.value == pytest.approx(0.0, abs=1e-5) for ratio in ratios["truth"].values())
    assert all(ratio == (1.0, 1.0, 1.0) for ratio in ratios["dry"].values())
    assert (found["truth"].hedged.value, found["dry"].hedged.value) == (0.0, 1.0)
    assert (found["truth"].nearer, found["dry"].nearer) == (1.0, 0.0)
    assert found["truth"].clean == pytest.approx(0.0, abs=1e-4)
    assert found["truth"].explained == dict.fromkeys(matcher.path.names, 1.0)
    assert found["random"].means["settings"].value > found["truth"].means["settings"].value == 0.0


@pytest.mark.filterwarnings("ignore:.*is a pickle")
def test_cdpam_judges_as_many_as_asked_for_and_later_more(pairs, matcher, tmp_path):
    methods = {
        name: m for name, m in (model_free(matcher.path) | of_model(matcher)).items() if name in ("dry", "controller", "middle")
    }
    short = PairDataset(matcher.path, pairs.tracks, length=4096, seed=5, clean=0.0, augmentation=None)
    sheet = Sheet(tmp_path, pairs.path.spec.address, "music")
    for count in (0, 1, 1):
        evaluate(short, "music", methods, sheet, 2, by_cdpam=count)
        judged = {(row["index"], row["method"]) for row in results(tmp_path) if not math.isnan(row["cdpam"])}
        assert judged == {(i, name) for i in range(count) for name in ("dry", "controller")}


def effected(mix, true_mix, moved, truly_moved):
    """Rows of a result and of the dry input, for an example with these values of its mix, and so far from the dry input."""
    common = {"effect": "e", "kind": "music", "clean": 0, **dict.fromkeys(METRICS, 0.0)}
    for index, (a, b, m, t) in enumerate(zip(mix, true_mix, moved, truly_moved, strict=True)):
        dry = {"spectrum": 0.0, "dynamics": 0.0, "time": 0.25 * t}
        yield {**common, "index": index, "method": "controller", "settings": {"FX Mix": a, "Tone": 0.5}, "audible": m}
        yield {**common, "index": index, "method": "truth", "settings": {"FX Mix": b, "Tone": 0.1}, "audible": t}
        yield {**common, **dry, "index": index, "method": "dry", "settings": {}, "audible": 0.0}


def test_hedging_is_the_share_of_audible_effects_that_are_answered_by_none():
    rows = effected([0.1, 0.1, 0.1, 0.1], [0.2, 0.4, 0.6, 0.8], [0.5, 0.9, 3.0, 1.1], [0.5, 2.0, 2.0, 2.0])
    (found,) = [s for s in summaries(rows) if s.method == "controller"]
    assert found.hedged.value == pytest.approx(1 / 3)  # the first cannot be heard in the truth
    assert found.lives == "time"
    assert found.slopes == {"FX Mix": pytest.approx(0.0, abs=1e-9)}


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_the_slope_is_that_of_the_predicted_over_the_true_mix(slope):
    true = [0.2, 0.4, 0.6, 0.8]
    (found,) = [
        s for s in summaries(effected([0.1 + slope * v for v in true], true, [2.0] * 4, [2.0] * 4)) if s.method == "controller"
    ]
    assert found.slopes["FX Mix"] == pytest.approx(slope, abs=1e-9)


def test_speech_has_quality(pairs, matcher, tmp_path):
    pytest.importorskip("pesq")
    methods = {name: method for name, method in model_free(matcher.path).items() if name in ("dry", "truth")}
    rows = measured(pairs, methods, tmp_path, examples=2, kind="speech")
    assert all(row["pesq"] == pytest.approx(4.644, abs=0.001) for row in rows if row["method"] == "truth")


def test_what_is_there_is_not_measured_again_and_adds_up_to_the_same(pairs, matcher, tmp_path):
    methods = model_free(matcher.path)
    whole = measured(pairs, methods, tmp_path / "whole")
    measured(pairs, {"dry": methods["dry"]}, tmp_path / "parts", examples=2)
    measured(pairs, methods, tmp_path / "parts", examples=3)
    (file,) = (tmp_path / "parts").iterdir()
    before, asked = file.read_text(), []

    def counting(method):
        return Method(lambda pair, rng: asked.append(1) or method.answer(pair, rng), method.depends)

    measured(pairs, {name: counting(method) for name, method in methods.items()}, tmp_path / "parts", examples=3)
    assert (asked, file.read_text()) == ([], before)
    measured(pairs, {name: counting(method) for name, method in methods.items()}, tmp_path / "parts")
    assert len(asked) == 2 * len(methods)
    assert str(results(tmp_path / "parts")) == str(whole)


def test_ctrl_c_and_errors_keep_what_is_done(pairs, matcher, tmp_path):
    methods = model_free(matcher.path)
    for error in (KeyboardInterrupt, OSError):
        calls = []

        def breaking(pair, rng, calls=calls, error=error):
            calls.append(1)
            if len(calls) == 3:
                raise error
            return methods["middle"].answer(pair, rng)

        with pytest.raises(error):
            measured(pairs, {"middle": Method(breaking)}, tmp_path / error.__name__)
        assert [row["index"] for row in results(tmp_path / error.__name__)] == [0, 1]
    assert len(measured(pairs, {"middle": methods["middle"]}, tmp_path / "OSError")) == 5


def test_a_new_model_is_measured_again_and_the_rest_stays(pairs, matcher, tmp_path):
    first = measured(pairs, model_free(matcher.path) | of_model(matcher), tmp_path / "r", examples=3)
    other = StyleMatcher.load(model(tmp_path / "other", seed=1))
    with pytest.warns(UserWarning, match="of another model or other recordings: measured again"):
        second = measured(pairs, model_free(matcher.path) | of_model(other), tmp_path / "r", examples=2)
    by_key = {(row["index"], row["method"]): str(row) for row in first}
    changed = {(row["index"], row["method"]) for row in second if by_key[row["index"], row["method"]] != str(row)}
    assert changed == {(index, method) for index in (0, 1) for method in MODELS}
    assert not {(2, method) for method in MODELS} & {(row["index"], row["method"]) for row in second}


def test_two_commands_measure_into_one_folder(pairs, matcher, tmp_path):
    methods = model_free(matcher.path)
    first, second = (Sheet(tmp_path, pairs.path.spec.address, "music") for _ in range(2))
    evaluate(pairs, "music", {"dry": methods["dry"]}, first, 3)
    evaluate(pairs, "music", {"middle": methods["middle"]}, second, 2)
    evaluate(pairs, "music", {"dry": methods["dry"]}, first, 4)
    found = {(row["index"], row["method"]) for row in results(tmp_path)}
    assert found == {(i, "dry") for i in range(4)} | {(i, "middle") for i in range(2)}


def test_another_commands_other_model_is_measured_and_not_believed(pairs, matcher, tmp_path):
    """The second command replaces the first one's rows while the first still has them."""
    other = StyleMatcher.load(model(tmp_path / "other", seed=1))
    first, second = (of_model(one) for one in (matcher, other))
    sheet = Sheet(tmp_path / "r", pairs.path.spec.address, "music")
    evaluate(pairs, "music", {"controller": first["controller"]}, sheet, 2)
    with pytest.warns(UserWarning, match="measured again"):
        evaluate(
            pairs, "music", {"controller": second["controller"]}, Sheet(tmp_path / "r", pairs.path.spec.address, "music"), 3
        )
    evaluate(pairs, "music", {"controller": first["controller"]}, sheet, 3)
    marks = {row["index"]: row["mark"] for row in results(tmp_path / "r")}
    assert marks[2] == mark(pairs, first["controller"])
    assert set(marks) == {0, 1, 2}
    assert len(set(marks.values())) == 1


def test_a_mean_needs_all_effects():
    one, none = ratio(np.array([3.0, 1.0]), np.array([4.0, 4.0])), ratio(np.array([]), np.array([]))
    assert evaluation_tables._pooled([one, none]) == ""


def test_refinement_is_a_method_of_its_own(pairs, matcher, tmp_path):
    rows = measured(pairs, of_model(matcher, refine=24), tmp_path, examples=4)
    assert {row["method"] for row in rows} == {"controller", "guarded", "refined 24"}
    by_key = {(row["index"], row["method"]): row["settings"] for row in rows}
    assert any(by_key[i, "controller"] != by_key[i, "refined 24"] for i in range(4))  # those that were confirmed


def test_the_guard_takes_back_what_leads_away_and_nothing_else(pairs, matcher):
    """Where it keeps settings, their sound is nearer to the reference than the input is."""
    methods, band = of_model(matcher), Band(matcher.path.sample_rate, matcher.path.sample_rate, matcher.path.sample_rate)
    taken = {}
    for index in range(12):
        pair = pairs.pair(index)
        p, kept = (methods[name].answer(pair, np.random.default_rng(0)) for name in MODELS)
        against = Against(matcher.path, pair["input"][None], pair["reference"][None], band)
        taken[index] = kept is None
        if kept is not None:
            assert against.left(against.of_settings(matcher.path, kept[None])) <= ENOUGH
        else:
            assert against.left(against.of_settings(matcher.path, p[None])) > ENOUGH
    assert set(taken.values()) == {True, False}


def test_a_result_without_effect_has_no_settings_to_compare():
    rows = list(effected([0.2, 0.5, 0.8], [0.2, 0.5, 0.8], [2.0] * 3, [2.0] * 3))
    whole, without = (
        next(s for s in summaries(some) if s.method == "controller")
        for some in (rows, [r | {"settings": {}} if r["method"] == "controller" and r["index"] == 1 else r for r in rows])
    )
    assert whole.slopes
    assert (without.slopes, without.explained) == ({}, {})


def test_the_cost_of_one_setting_is_that_of_the_controllers(tracks, tmp_path):
    matcher = StyleMatcher.load(model(tmp_path / "run", REVERB))
    data = PairDataset(matcher.path, tracks, length=LENGTH, seed=5, clean=0.4, augmentation=None)
    rows = measured(data, of_model(matcher) | model_free(matcher.path) | one_by_one(matcher), tmp_path / "r", examples=4)
    by_key = {(row["index"], row["method"]): row for row in rows}
    for (index, method), row in by_key.items():
        if method.startswith(ONE_WRONG) and row["clean"]:
            assert row["mrstft"] == 0.0
        elif method.startswith(ONE_WRONG):
            truth, mine = (by_key[index, name]["settings"] for name in ("truth", "controller"))
            wrong = method.removeprefix(ONE_WRONG)
            assert row["settings"] == {**truth, wrong: mine[wrong]}
    found = summaries(rows)
    assert not any(heading.startswith(ONE_WRONG) for heading in evaluation_tables.ratios(found)[0])
    ((_, _, _, text),) = evaluation_tables.explained(found)[1]
    costs = {s.method.removeprefix(ONE_WRONG): s.wet.value for s in found if s.method.startswith(ONE_WRONG)}
    assert set(costs) == set(matcher.path.names)
    assert all(f" ({cost:.2f})" in text for cost in costs.values())


def test_the_nearest_neighbour_of_a_pair_in_the_bank_is_itself(pairs, matcher, tmp_path):
    method = nearest(matcher.encoder, pairs, 12, tmp_path)
    rng = np.random.default_rng(0)
    for i in range(12):
        pair = pairs.pair(i)
        if not pair["clean"]:
            assert torch.equal(method.answer(pair, rng), pair["p"])


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "binary"])
def test_a_file_that_is_no_table_of_results_is_named(content, tmp_path):
    file = tmp_path / "x-music.csv"
    file.write_bytes(bytes(range(256)) if content == "binary" else content.encode())
    with pytest.raises(ResultsError, match=r"x-music.csv: is not a table of results|no results"):
        results(tmp_path)


def test_an_interval_is_that_of_the_mean():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    found = mean(values)
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / math.sqrt(400)
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=0.1 * half)
    assert mean(np.append(values, math.nan)) == found


def test_a_ratio_is_resampled_by_example():
    others = np.random.default_rng(1).uniform(0.5, 2.0, 50)
    assert ratio(3 * others, others) == pytest.approx((3.0, 3.0, 3.0))
    low, high = ratio(others[::-1], others)[1:]
    assert low < 1.0 < high
    assert all(math.isnan(v) for v in (*ratio(others, np.zeros(50)), *mean(np.array([]))))


def test_one_example_has_no_interval():
    found = ratio(np.array([1.0]), np.array([4.0]))
    assert found.value == 0.25
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert evaluation_tables._interval(found) == "0.25"
    assert evaluation_tables._pooled([found, ratio(np.array([3.0, 1.0]), np.array([4.0, 4.0]))]) == "0.375"


def test_the_means_beside_the_original_are_those_of_the_background():
    rows = [
        {
            "effect": f"{shipped.MDA}/{name}",
            "kind": "speech",
            "index": 0,
            "clean": 0,
            "method": method,
            "settings": {},
            "audible": 2.0,
            **dict.fromkeys(METRICS, 2.0 if method == "dry" else 1.0),
        }
        for name in shipped.NINE
        for method in ("dry", "controller")
    ]
    headings, lines = evaluation_tables.ratios(summaries(rows))
    assert headings == ["effect", "examples", "controller", "nearer", "original, VCTK", "original, DAPS"]
    assert lines[0] == ["Overdrive", "1", "0.50", "100 %", "0.56", "0.51"]
    assert lines[-1] == ["mean of the nine", "", "0.50", "", "0.96", "0.91"]
    headings, lines = evaluation_tables.means(summaries(rows))
    assert headings == ["mean of 9", "dry", "controller"]
    assert lines[0][0] == "MRSTFT"
    assert [cell.split()[0] for cell in lines[0][1:]] == ["2", "1"]


@pytest.fixture(scope="module")
def long_recordings(tmp_path_factory):
    """10 s of the bundled guitar, for excerpts of 5.5 s."""
    folder = tmp_path_factory.mktemp("long")
    audio, rate = audio_files.example()
    audio_files.write(folder / "guitar.wav", np.tile(audio, 2), rate)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_the_command_measures_shows_and_writes_the_page(long_recordings, tmp_path):
    run_of, output, page = model(tmp_path / "run"), tmp_path / "results", tmp_path / "page.md"
    chosen = [argument for name in METHODS if name != "nearest" for argument in ("--method", name)]
    done = run(
        run_of, "--recordings", long_recordings, "--kind", "music", "--examples", 2, *chosen, "-o", output, "--page", page
    )
    assert done.exit_code == 0, done.output
    assert "MRSTFT ÷ that of the dry input, music" in done.stdout
    shown = json.loads(run("--examples", 0, "-o", output, "--json").stdout)
    assert {(row["effect"], row["method"], row["examples"]) for row in shown} == {
        (DRIVE, name, 2) for name in METHODS if name != "nearest"
    }
    text = page.read_text()
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
    assert f"| {DRIVE} | " in text
    assert "nearest" not in text.split("±")[0], "a method that was not measured"
    for name in re.findall(r"\]\((figures/[^)]+)\)", text):
        ElementTree.parse(tmp_path / name)
    numbers = {(row["method"], row["metric"]): row for row in csv.DictReader(page.with_suffix(".csv").open())}
    assert float(numbers["truth", "mrstft"]["ratio"]) == 0.0
    assert float(numbers["dry", "mrstft"]["ratio"]) == 1.0


def test_an_effect_that_fails_leaves_the_others_be(long_recordings, tmp_path):
    common = ("--recordings", long_recordings, "--kind", "music", "--examples", 1, "--method", "dry", "-o", tmp_path / "o")
    done = run("pedalboard-builtin:Nothing", REVERB, *common)
    assert done.exit_code == 1
    assert {row["effect"] for row in results(tmp_path / "o")} == {REVERB}
    assert "pedalboard-builtin:Nothing" in done.stderr


def test_what_cannot_be_is_refused_before_the_work(long_recordings, tmp_path):
    done = run("--method", "best")
    assert done.exit_code == 2
    assert "allowed are dry, middle" in done.stderr
    assert run("--kind", "noise").exit_code == 2
    assert run("--recordings", long_recordings).exit_code == 2
    assert run("--page", tmp_path / "page.html").exit_code != 0
    nothing = run("--examples", 0, "-o", tmp_path / "none")
    assert nothing.exit_code == 1
    assert isinstance(nothing.exception, ResultsError)
