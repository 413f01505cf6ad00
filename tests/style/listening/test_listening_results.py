"""The results of a listening test: answers from everywhere, screening, means, tests and figures. Listeners here are pretended."""

from __future__ import annotations

import itertools
import json
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from blackbox_grad.errors import AudioError
from blackbox_grad_adapters.style_matching.listening.answers import Answers, gathered
from blackbox_grad_adapters.style_matching.listening.choices import counted
from blackbox_grad_adapters.style_matching.listening.database import Database
from blackbox_grad_adapters.style_matching.listening.description import (
    AnswerError,
    Description,
    Trial,
    check_answer,
    check_listener,
)
from blackbox_grad_adapters.style_matching.listening.ratings import holm, interval, rated, signed_rank
from blackbox_grad_adapters.style_matching.listening.screening import screened
from tests.command_line import fail_here, succeed_here

SYSTEMS = ("reference", "mine", "theirs", "anchor35", "anchor70")


def mushra(count=10, effects=("Delay", "Reverb")):
    trials = tuple(Trial(str(i), f"item {i}", effects[i % len(effects)], "", SYSTEMS) for i in range(count))
    return Description("abc", "A test", "mushra", trials)


def rating(trial, **scores):
    return {
        "trial": trial,
        "seconds": 1.0,
        "ratings": {"reference": 100, "mine": 70, "theirs": 40, "anchor35": 20, "anchor70": 60} | scores,
    }


def answers_of(test, listeners):
    """`listeners`: by name, a function from a trial's number to what differs."""
    return Answers(
        test,
        {name: {str(i): rating(str(i), **scores(i)) for i in range(len(test.trials))} for name, scores in listeners.items()},
    )


def file_of(path, test, listener, answers, key="k"):
    content = {"listening test answers": 1, "test": test.to_json(), "listener": listener, "key": key, "answers": answers}
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_listeners_who_miss_in_more_than_15_percent_of_the_trials_are_excluded():
    test = mushra(20)
    found = answers_of(
        test,
        {
            "good": lambda i: {},
            "misses the reference in 3": lambda i: {"reference": 89.9} if i < 3 else {"reference": 90},
            "misses the reference in 4": lambda i: {"reference": 89.9} if i < 4 else {},
            "likes the anchor in 3": lambda i: {"anchor70": 90.1} if 4 <= i < 7 else {"anchor70": 90},
            "likes the anchor in 4": lambda i: {"anchor70": 90.1} if 10 <= i < 14 else {},
        },
    )
    verdicts = {verdict.listener: verdict for verdict in screened(found)}
    assert [name for name, verdict in verdicts.items() if not verdict.counts] == [
        "misses the reference in 4",
        "likes the anchor in 4",
    ]
    assert "hidden reference below 90 in 20%" in verdicts["misses the reference in 4"].reasons[0]
    assert verdicts["likes the anchor in 3"].anchor_above == pytest.approx(0.15)


def test_an_anchor_that_more_than_a_quarter_likes_excludes_nobody():
    test = mushra(4)
    liking = lambda i: {"anchor70": 95} if i == 0 else {}  # noqa: E731
    three_of_eight = {str(n): liking if n < 3 else lambda i: {} for n in range(8)}
    assert all(verdict.counts for verdict in screened(answers_of(test, three_of_eight)))
    two_of_eight = {str(n): liking if n < 2 else lambda i: {} for n in range(8)}  # a quarter, not more
    assert [v.listener for v in screened(answers_of(test, two_of_eight)) if not v.counts] == ["0", "1"]


def test_a_test_without_anchors_is_screened_by_its_reference():
    trials = tuple(Trial(str(i), "", "", "", ("reference", "mine")) for i in range(3))
    answers = {"a": {"0": {"trial": "0", "seconds": 0.0, "ratings": {"reference": 50.0, "mine": 100.0}}}}
    (verdict,) = screened(Answers(Description("x", "", "mushra", trials), answers))
    assert (verdict.trials, verdict.reference_below, verdict.anchor_above, verdict.counts) == (1, 1.0, 0.0, False)


def test_means_intervals_and_tests_are_those_of_scipy():
    rng = np.random.default_rng(0)
    scores = {f"l{n}": {i: {s: float(rng.integers(0, 101)) for s in SYSTEMS} for i in range(10)} for n in range(9)}
    found = answers_of(mushra(10), {name: scores[name].__getitem__ for name in scores})
    result = rated(found, scores)
    assert result.by_listener
    mine = np.array([np.mean([scores[n][i]["mine"] for i in range(10)]) for n in scores])
    theirs = np.array([np.mean([scores[n][i]["theirs"] for i in range(10)]) for n in scores])
    (mean,) = [m for m in result.means if (m.effect, m.system) == ("", "mine")]
    expected = stats.t.interval(0.95, 8, mine.mean(), stats.sem(mine))
    assert (mean.value, mean.low, mean.high, mean.ratings) == pytest.approx((mine.mean(), *expected, 90))
    assert mean.median == np.median([scores[n][i]["mine"] for n in scores for i in range(10)])
    (overall,) = [d for d in result.differences if d.effect == ""]
    assert (overall.first, overall.second) == ("mine", "theirs")  # no anchor, no reference
    assert overall.value == pytest.approx((mine - theirs).mean())
    assert overall.p == overall.p_holm == pytest.approx(stats.wilcoxon(mine - theirs, zero_method="pratt").pvalue)
    apart = [d for d in result.differences if d.effect]
    assert [d.effect for d in apart] == ["Delay", "Reverb"]
    even = np.array([np.mean([scores[n][i]["mine"] - scores[n][i]["theirs"] for i in range(0, 10, 2)]) for n in scores])
    assert apart[0].p == pytest.approx(stats.wilcoxon(even, zero_method="pratt").pvalue)
    assert [d.p_holm for d in apart] == holm([d.p for d in apart])


def test_few_listeners_are_a_sample_of_ratings():
    found = answers_of(mushra(10), {f"l{n}": lambda i: {"mine": 60 + i} for n in range(5)})
    result = rated(found, ["l0", "l1", "l2", "l3", "l4"])
    assert not result.by_listener
    (mean,) = [m for m in result.means if (m.effect, m.system) == ("", "mine")]
    assert mean.high - mean.value == pytest.approx(stats.t.ppf(0.975, 49) * np.std([*range(10)] * 5, ddof=1) / math.sqrt(50))
    assert {m.ratings for m in rated(found, ["l3", "nobody"]).means if m.effect == ""} == {10}


def test_holms_correction():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # worked by hand
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_nothing_to_tell_apart_is_no_error():
    assert signed_rank(np.zeros(5)) == 1.0
    assert signed_rank(np.array([3.0])) == 1.0
    value, low, high = interval(np.array([4.0]))
    assert (value, math.isnan(low), math.isnan(high)) == (4.0, True, True)


def test_outliers_are_listed_and_count():
    found = answers_of(mushra(1), {f"l{n}": lambda i, n=n: {"mine": 60 + n} if n < 8 else {"mine": 5} for n in range(9)})
    result = rated(found, found.listeners)
    assert [(o.listener, o.system, o.value) for o in result.outliers] == [("l8", "mine", 5)]
    (mean,) = [m for m in result.means if m.system == "mine"]
    assert mean.value == pytest.approx((sum(range(60, 68)) + 5) / 9)


def comparison(design, hits, total, systems=("a", "b"), effects=("Delay",)):
    trials = tuple(Trial(str(i), "", effects[i % len(effects)], "", systems) for i in range(total))
    test = Description("c", "Pairs", design, trials)
    given = {}
    for i in range(total):
        x = systems[i % 2]
        other = systems[1 - i % 2]
        choice = (
            {"choice": systems[0] if i < hits else systems[1]}
            if design == "ab"
            else {"x": x, "choice": x if i < hits else other}
        )
        given[str(i)] = {"trial": str(i), "seconds": 1.0, "first": systems[1], **choice}
    return Answers(test, {"anna": given})


def test_comparisons_are_counted_and_tested():
    (ab,) = counted(comparison("ab", 9, 12))
    assert (ab.first, ab.second, ab.hits, ab.answers, ab.share) == ("a", "b", 9, 12, 0.75)
    assert ab.p == pytest.approx(stats.binomtest(9, 12).pvalue)
    (abx,) = counted(comparison("abx", 9, 12))
    assert abx.p == pytest.approx(sum(math.comb(12, k) for k in range(9, 13)) / 2**12)
    assert (abx.low, abx.high) == pytest.approx((0.468, 0.911), abs=1e-3)  # Wilson's, as in tables
    all_, delay, reverb = counted(comparison("ab", 5, 10, effects=("Delay", "Reverb")))
    assert [(c.effect, c.hits, c.answers) for c in (all_, delay, reverb)] == [("", 5, 10), ("Delay", 3, 5), ("Reverb", 2, 5)]
    assert (delay.p_holm, reverb.p_holm) == (1.0, 1.0)


def test_answers_come_from_files_folders_and_databases(tmp_path):
    test = mushra(2)
    file_of(tmp_path / "1.json", test, "anna", [rating("0")], key="one")
    file_of(tmp_path / "2.json", test, "anna", [rating("0", mine=1), rating("1")], key="two")
    database = Database(tmp_path / "3.db")
    database.open_test(test)
    database.keep(test, "ben", check_answer(test, rating("1", mine=2)))
    database.close()
    (tmp_path / "notes.txt").write_text("not read")
    with pytest.warns(UserWarning, match=r"two listeners are called anna; one is shown as anna \(2\)"):
        found = gathered([tmp_path])
    assert found.test == test
    assert {name: sorted(given) for name, given in found.listeners.items()} == {
        "anna": ["0"],
        "anna (2)": ["0", "1"],
        "ben": ["1"],
    }
    assert found.listeners["ben"]["1"]["ratings"]["mine"] == 2.0
    # the same listener's later answer
    file_of(tmp_path / "4.json", test, "anna", [rating("0", mine=33)], key="one")
    assert gathered([tmp_path / "1.json", tmp_path / "4.json"]).listeners["anna"]["0"]["ratings"]["mine"] == 33
    other = file_of(tmp_path / "5.json", Description("xyz", "Another", "mushra", test.trials), "cora", [rating("0")])
    with pytest.raises(AudioError, match=r"answers to 2 tests: abc \(A test\), xyz \(Another\); choose one: --test ID"):
        gathered([tmp_path / "1.json", other])
    assert list(gathered([tmp_path / "1.json", other], "xyz").listeners) == ["cora"]
    with pytest.raises(AudioError, match="no answers to the test 'nope'; there are some to abc"):
        gathered([tmp_path / "1.json"], "nope")


def test_a_damaged_database_is_read_or_named(tmp_path):
    test = mushra(3)
    database = Database(tmp_path / "a.db")
    database.open_test(test)
    for trial in test.trials:
        database.keep(test, "ben", check_answer(test, rating(trial.id)))
    database.close()
    whole, rng, named = (tmp_path / "a.db").read_bytes(), np.random.default_rng(0), 0
    for _ in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, len(damaged), 8)] = rng.integers(0, 256, 8)
        (tmp_path / "b.db").write_bytes(damaged[: rng.integers(100, len(damaged))] if rng.random() < 0.2 else damaged)
        try:
            gathered([tmp_path / "b.db"])
        except AudioError:
            named += 1
        try:
            Database(tmp_path / "b.db").close()
        except AudioError:
            named += 1
    assert named > 20


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"listening test answers": 1, "answers": []}',
        '{"listening test answers": 2}',
        '{"listening test answers": 1, "test": {"format": 1, "design": "mushra", "trials": [7]}, "listener": "a", "answers": []}',
    ],
)
def test_a_file_of_something_else_is_named(content, tmp_path):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(AudioError, match=r"a\.json: is no file of answers to a listening test .*; leave it out"):
        gathered([tmp_path / "a.json"])


def test_a_file_with_a_wrong_answer_is_named(tmp_path):
    path = file_of(tmp_path / "a.json", mushra(2), "anna", [rating("0"), rating("1", mine=1000)])
    with pytest.raises(AudioError, match=r"a\.json: .*the rating of mine must be a number from 0 to 100"):
        gathered([path])
    with pytest.raises(AudioError, match="no such file"):
        gathered([tmp_path / "b.json"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match="no answers in this folder"):
        gathered([tmp_path / "empty"])
    with pytest.raises(AudioError, match="there are no answers yet"):
        gathered([file_of(tmp_path / "c.json", mushra(2), "anna", [])])


def test_a_description_survives_json_and_a_wrong_one_does_not():
    for test in (mushra(3), comparison("ab", 1, 2).test, comparison("abx", 1, 2).test):
        data = json.loads(json.dumps(test.to_json()))
        assert Description.from_json(data) == test
        for field, wrong in itertools.product(("id", "title", "design", "trials", "format"), (None, 7, [], {}, "x" * 300)):
            with pytest.raises(AnswerError):
                Description.from_json(data | {field: wrong})
        for field, wrong in itertools.product(("id", "systems", "effect"), (None, 7, [], ["a", "a"], [1], "x" * 300)):
            with pytest.raises(AnswerError):
                Description.from_json(data | {"trials": [data["trials"][0] | {field: wrong}]})
        with pytest.raises(AnswerError, match="same id"):
            Description.from_json(data | {"trials": [data["trials"][0]] * 2})


def test_an_answer_to_a_comparison_names_its_systems():
    test = comparison("abx", 1, 2).test
    whole = {"trial": "0", "seconds": 2, "first": "a", "x": "b", "choice": "b"}
    assert check_answer(test, whole | {"more": "is left out"}) == whole
    for field in ("first", "x", "choice"):
        for wrong in (None, "c", 1, ["a"]):
            with pytest.raises(AnswerError, match=f"{field} must be one of a, b"):
                check_answer(test, whole | {field: wrong})
    assert check_listener("  Łucja 音 ") == "Łucja 音"


def test_the_table_the_json_and_the_figure(tmp_path, capsys):
    test = mushra(4)
    listeners = {f"l{n}": (lambda i, n=n: {"mine": 70 + n, "theirs": 40 + i}) for n in range(7)}
    listeners["deaf"] = lambda i: {"reference": 10}
    for name, given in answers_of(test, listeners).listeners.items():
        file_of(tmp_path / f"{name}.json", test, name, list(given.values()), key="")
    command = ("style", "listen", "results", tmp_path)
    said = succeed_here(capsys, *command, "--figure", tmp_path / "f.svg")
    assert "7 of 8 listeners, 4 trials" in said
    assert "The sample is the listeners" in said
    drawn = "".join(ElementTree.parse(tmp_path / "f.svg").getroot().itertext())
    assert all(drawn.count(text) == 3 for text in ("mine", "theirs", "Excellent"))  # all effects, and each
    found = json.loads(succeed_here(capsys, *command, "--json", "--figure", tmp_path / "f.png"))
    assert [v["listener"] for v in found["screening"] if not v["kept"]] == ["deaf"]
    (mean,) = [m for m in found["means"] if (m["effect"], m["system"]) == ("", "mine")]
    assert mean["value"] == 73.0
    assert (difference := found["differences"][0])["p_holm"] == pytest.approx(2 / 2**7)
    assert difference["value"] == pytest.approx(73.0 - 41.5)
    with Image.open(tmp_path / "f.png") as picture:
        assert picture.size[0] > 800
        assert np.asarray(picture.convert("L")).std() > 5
    everybody = json.loads(succeed_here(capsys, *command, "--json", "--no-screening"))
    assert all(v["kept"] for v in everybody["screening"])
    assert "no listener passes the screening (deaf rated the hidden reference" in fail_here(
        capsys, *command[:3], tmp_path / "deaf.json"
    )
    assert "the suffix .txt is unknown" in fail_here(capsys, *command, "--figure", tmp_path / "f.txt")


@pytest.mark.parametrize("design", ["ab", "abx"])
def test_the_table_of_comparisons(design, tmp_path, capsys):
    found = comparison(design, 7, 8, effects=("Delay", "Re$verb_"))
    path = file_of(tmp_path / "a.json", found.test, "anna", list(found.listeners["anna"].values()))
    said = succeed_here(capsys, "style", "listen", "results", path, "--figure", tmp_path / "f.png")
    assert "88%" in said
    assert ("two-sided" if design == "ab" else "one-sided") in said
    assert (tmp_path / "f.png").stat().st_size > 1000
    counts = json.loads(succeed_here(capsys, "style", "listen", "results", path, "--json"))["counts"]
    assert [(c["effect"], c["hits"], c["answers"]) for c in counts] == [("", 7, 8), ("Delay", 4, 4), ("Re$verb_", 3, 4)]
