"""The bench of estimators: its tasks are as described, renders are counted, and an interrupted run continues."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from blackbox_grad_adapters.estimator_bench import page, quality, report
from blackbox_grad_adapters.estimator_bench.available import available
from blackbox_grad_adapters.estimator_bench.commands import app
from blackbox_grad_adapters.estimator_bench.methods import RATES, RIVALS, Method
from blackbox_grad_adapters.estimator_bench.progress import COUNTS, LEVELS, progress
from blackbox_grad_adapters.estimator_bench.quality import differences, trusted_gradient
from blackbox_grad_adapters.estimator_bench.results import KEYS, Row, Table
from blackbox_grad_adapters.estimator_bench.runner import run
from blackbox_grad_adapters.estimator_bench.tasks import EFFECTS, TASKS, host, layer_for, matching, posed

ROOT = Path(__file__).parent.parent.parent
BIQUAD = "biquad-guitar-mrstft-1"


def bench(folder: Path, *arguments: str) -> list[str]:
    return [
        str(Path(sys.executable).with_name("blackbox-grad")),
        "bench",
        "estimators",
        "--results",
        str(folder),
        "--jobs",
        "1",
        "--parts",
        "progress",
        *arguments,
    ]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "progress.csv").open() as file:
        return list(csv.DictReader(file))


def test_there_are_enough_tasks_on_real_effects():
    real = {name for name, subject in EFFECTS.items() if "reference:" not in subject.address}
    assert len(real) >= 12
    assert len({task.effect for task in TASKS.values()}) == len(EFFECTS)
    assert sum(task.effect in real for task in TASKS.values()) >= 40


@pytest.mark.slow
@pytest.mark.plugins
def test_every_task_on_the_bundled_recording_has_a_loss_that_is_zero_at_the_hidden_settings_and_not_at_the_start():
    for name in matching("*-guitar-*"):
        task = posed(name)
        layer = layer_for(task.task.effect)
        with torch.no_grad():
            at_hidden = float(task.loss(layer(task.audio, task.hidden)))
        assert at_hidden < 1e-6 < 0.1 < task.initial, name
        assert 3 <= task.start.shape[1] <= 30


def test_forward_renders_and_probes_are_counted_and_nothing_later_is_seen():
    posed(BIQUAD)  # renders the target once
    before = host().renders
    run = progress(BIQUAD, "spsa", "loss", 0.03, seed=0, budget=60)
    assert host().renders - before == 60  # 20 steps of one forward render and two probes
    assert run.losses == tuple(sorted(run.losses, reverse=True))
    assert run.losses[COUNTS.index(100)] == run.losses[-1] < 0.9
    for level, renders in zip((0.5, 0.2, 0.1), run.reached, strict=True):
        assert renders == float("inf") or renders <= 60
        assert (renders <= 50) == (run.losses[COUNTS.index(50)] <= level)


def test_a_seed_repeats_a_run_and_another_does_not():
    first, again, other = (progress(BIQUAD, "spsa", "cotangent", 0.03, seed, budget=30) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.slow
@pytest.mark.parametrize("method", [m for m in RIVALS if m.name.partition(":")[0] not in ("spsa", "finite-difference")])
def test_rivals_make_progress(method: Method):
    pytest.importorskip({"DFO-LS": "dfols"}.get(method.name, "torchopt" if "torchopt" in method.name else "nevergrad"))
    run = progress(BIQUAD, method.name, method.kind, method.rates[-1], seed=0, budget=100)
    assert run.losses[COUNTS.index(100)] < 0.9


def test_the_step_size_is_the_best_for_all_tasks_or_for_each():
    def row(task: str, rate: float, loss: float) -> Row:
        losses = {f"loss_{count}": loss for count in COUNTS}
        return {"task": task, "method": "spsa", "kind": "loss", "rate": rate, "seed": 0, **losses} | {
            f"to_{level:g}": float("inf") for level in (0.5, 0.2, 0.1)
        }

    table = [row("a", 0.1, 0.1), row("a", 0.2, 0.3), row("b", 0.1, 0.5), row("b", 0.2, 0.4)]
    (one,) = report.by_method(table, ["a", "b"])
    assert one.rate == 0.1
    np.testing.assert_allclose(one.losses[:, 0], [0.1, 0.5])
    (each,) = report.by_method(table, ["a", "b"], per_task=True)
    np.testing.assert_allclose(each.losses[:, 0], [0.1, 0.4])
    assert report.by_method(table, ["a", "b", "c"]) == []  # not run on all


def begun(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """A run in its own process group, with its first row."""
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 120
    while not (folder / "progress.csv").exists() and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return run


@pytest.mark.slow
def test_a_run_whose_processes_are_all_ended_at_once_ends(tmp_path: Path):
    run = begun(
        bench(tmp_path, "--tasks", "*-guitar-*", "--estimator", "finite-difference", "--again", "--jobs", "2"), tmp_path
    )
    os.killpg(run.pid, signal.SIGTERM)
    assert run.wait(30) == 143
    assert rows(tmp_path)


@pytest.mark.slow
def test_an_interrupted_run_keeps_whole_rows_and_goes_on(tmp_path: Path):
    command = bench(tmp_path, "--tasks", "chorus-guitar", "--estimator", "finite-difference:step=0.02", "--kinds", "cotangent")
    first = begun(command, tmp_path)
    first.send_signal(signal.SIGINT)
    assert first.wait(60) == 130
    kept = rows(tmp_path)
    assert 1 <= len(kept) < len(RATES)
    environment = os.environ | {"COLUMNS": "200"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    finished = rows(tmp_path)
    assert len(finished) == len(RATES)
    assert all(row in finished for row in kept)
    assert "finite-difference:step=0.02" in done.stdout
    assert not list(tmp_path.glob(".*.part"))


def test_results_of_the_docs_and_new_ones_are_one_table(tmp_path: Path):
    table = Table("progress", tmp_path)
    given = len(table.rows)
    row = {"task": "t", "method": "m", "kind": "loss", "rate": 0.1, "seed": 0, "loss_10": 0.123456}
    assert row not in table
    table.add([row])
    again = Table("progress", tmp_path)
    assert row in again
    assert len(again.rows) == given + 1
    assert again.rows[-1] == row | {"loss_10": 0.1235}


def test_the_trusted_gradient_is_the_exact_one_within_its_error_bar():
    exact, error = trusted_gradient(BIQUAD)
    assert error == 0.0
    found, bar = differences(BIQUAD)
    assert np.linalg.norm(found - exact) <= bar * np.linalg.norm(exact) < 1e-2 * np.linalg.norm(exact)


@pytest.mark.slow
def test_quality_is_measured_at_equal_renders_and_grows_with_them():
    found = quality.measure(BIQUAD, "spsa:samples={m},sides=1,directions=orthogonal", "loss")
    assert [row["renders"] for row in found] == [1, 2, 3, 4, 6, 8]  # P = 3
    cosines = [row["cosine"] for row in found]
    assert cosines[0] < 0.95 < cosines[2]
    (central,) = quality.measure(BIQUAD, "finite-difference", "cotangent")
    assert (central["renders"], central["parameters"]) == (6, 3)
    assert central["low"] == central["high"] > 0.99


@pytest.mark.plugins
def test_where_the_loss_oscillates_no_gradient_is_trusted():
    (row,) = quality.measure("delay-guitar-mrstft-1", "spsa:samples={m},sides=1", "loss")
    assert row["renders"] == 0
    assert row["error"] > quality.TRUSTED
    assert np.isnan(row["cosine"])


def test_the_page_shows_what_was_run_on_all_tasks(tmp_path: Path):
    known = {"task": BIQUAD, "method": "spsa", "kind": "cotangent", "rate": 0.1, "seed": 0}
    numbers = {f"loss_{count}": 0.25 for count in COUNTS} | {f"to_{level:g}": 77.0 for level in LEVELS}
    complete = [known | numbers | {"task": task} for task in TASKS]
    partial = [known | numbers | {"kind": "loss"}]
    page.write(tmp_path / "page.md", {"progress": complete + partial, "quality": [], "amortised": []})
    text = (tmp_path / "page.md").read_text("utf-8")
    (line,) = {line for line in text.splitlines() if line.startswith("| `spsa`") and "0.1 |" in line}
    assert line.startswith("| `spsa` | cotangent | 0.1 | 0.250 | 0.250 | 0.250 | 77 | 77 | 77 | 100% |")
    assert "Not measured yet" in text
    for figure in re.findall(r"\]\((figures/.*?)\)", text):
        assert (tmp_path / figure).read_text("utf-8").startswith("<?xml")


def test_the_page_in_the_docs_is_that_of_the_results(tmp_path: Path):
    rows = {part: Table(part, tmp_path / "none").rows for part in KEYS}
    page.write(tmp_path / "page.md", rows)
    assert (ROOT / "docs" / "measured" / "estimator-benchmarks.md").read_text("utf-8") == (tmp_path / "page.md").read_text(
        "utf-8"
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--tasks", "theremin"], "there are overdrive-guitar-mrstft-1"),
        (["--estimator", "spas"], "did you mean 'spsa'"),
        (["--kinds", "losses"], "allowed are cotangent, loss"),
        (["--parts", "speed"], "allowed are progress, quality, amortised, none"),
    ],
)
def test_a_wrong_option_says_what_is_right(wrong: list[str], said: str):
    done = CliRunner().invoke(app, ["estimators", *wrong], env={"COLUMNS": "3000"})
    assert done.exit_code == 2
    assert said in done.output


def _cell(what: str) -> list[Row]:
    """A measurement that behaves as its argument says; at the top level, so that another process finds it."""
    match what:
        case "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        case "raises":
            raise ValueError("no luck")
    return [{"method": what, "kind": "loss", "rate": 0.1, "seed": 0, "loss": 1.0}]


@pytest.mark.slow
def test_a_measurement_that_fails_or_kills_its_process_is_told_and_ends_no_other(tmp_path: Path, capsys):
    table = Table("amortised", tmp_path)
    cells = [(_cell, (what,)) for what in ("a", "dies", "b", "raises", "c")]
    assert run(cells, table, jobs=2, part="amortised") == 2
    assert {"a", "b", "c"} <= {row["method"] for row in Table("amortised", tmp_path).rows}
    said = capsys.readouterr().err
    assert "_cell('dies',): its process ended with exit code -9" in said
    assert "_cell('raises',): ValueError: no luck" in said
    assert said.startswith("amortised: 5 measurements on 2 processes, some ")
    assert "amortised: 1/5 measured, " in said
    assert "amortised: 5/5 measured\n" in said


def test_tasks_whose_plugins_are_not_installed_are_left_out_with_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for variable in ("LV2_PATH", "VST_PATH", "VST3_PATH"):
        monkeypatch.setenv(variable, str(tmp_path))
    chosen = [name for name in TASKS if "-guitar-" in name]
    found, (reason,) = available(chosen)
    assert {TASKS[name].effect for name in found} == {"chorus", "reverb", "biquad", "reference-delay"}
    assert reason.startswith("left out are the tasks of overdrive, delay, ")
