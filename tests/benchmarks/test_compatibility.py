"""`make compatibility` writes a page with a row for every effect, also for one that crashes, hangs or breaks a law."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

TROUBLE = """
import os, time
import numpy as np
from blackbox_grad import Parameter, ParameterSpace, PluginEffect
from blackbox_grad.errors import EffectLoadError

class Effect(PluginEffect):
    def __init__(self, kind, sample_rate):
        self.name, self.kind, self.sample_rate = kind, kind, sample_rate
        self.inputs = self.outputs = 1
        self.parameters = ParameterSpace([Parameter("Gain")])

    def process(self, audio, values):
        match self.kind:
            case "crashes":
                os.abort()
            case "hangs":
                time.sleep(600)
            case "forgets":
                return audio + np.float32(np.random.default_rng().uniform())
        return audio * np.float32(values[0])

class Backend:
    def open(self, locator, sample_rate, options):
        if locator == "needs-another-host":
            raise EffectLoadError(f"trouble:{locator}: it needs CV ports")
        if locator == "plays-notes":
            raise EffectLoadError(f"trouble:{locator} is an instrument, not an effect")
        if locator == "dies-at-opening":
            os.abort()
        return Effect(locator, sample_rate)

    def claims(self, locator):
        return 0.0

    def scan(self):
        return iter(())
"""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "benchmarks" / "compatibility.py"), "--seconds", "0.1"]
    command += ["--page", str(folder / "page.md"), "--results", str(folder / "results.json"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=os.environ | environment)


def rows(folder: Path) -> dict[str, list[str]]:
    """Effect -> cells of its line."""
    found = re.findall(r"^\| `([^`]+)` \| (.+) \|$", (folder / "page.md").read_text("utf-8"), re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in found}


@pytest.mark.plugins
@pytest.mark.slow
def test_the_page_states_what_was_measured(tmp_path: Path) -> None:
    addresses = [
        "pedalboard-builtin:Reverb",
        "pedalboard:ZamDelay.vst3",
        "dawdreamer:http://drobilla.net/plugins/mda/Overdrive",
        "dawdreamer:http://drobilla.net/plugins/mda/DX10",
    ]
    done = run(tmp_path, *addresses)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 pass" in done.stdout
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "**4 of 4 effects keep every promise**, 4 open. Of 4 with continuous parameters, 4 have a gradient." in page
    assert "This page is generated: `make compatibility-all`" in page
    assert "Why the others fail" not in page
    found = rows(tmp_path)
    assert found["Reverb"][:5] == ["passes", "0", "5 + 0 + 1", "0", "any number in, as many out"]
    assert found["Reverb"][6] == "yes"
    assert found["ZamDelay.vst3"][:2] == ["passes", "0"]
    assert re.match(r"5 \+ 1 \+ 2; \d inaudible", found["ZamDelay.vst3"][2])  # with a signal this short
    assert found["ZamDelay.vst3"][3:5] == ["0", "1 in, 1 out"]
    assert found["Overdrive"][:5] == ["passes", "0", "3 + 0 + 0", "0", "2 in, 2 out"]
    assert found["DX10"][:2] + found["DX10"][4:5] == ["passes", "0", "notes in, 2 out"]
    assert found["DX10"][6] == "yes"
    assert all(re.fullmatch(r"[\d.]+ ms", cells[5]) for cells in found.values())


@pytest.fixture
def trouble(tmp_path: Path) -> dict[str, str]:
    """An environment with a backend `trouble` whose effects crash, hang or change their sound."""
    package = tmp_path / "site"
    (package / "trouble-1.dist-info").mkdir(parents=True)
    (package / "trouble_backend.py").write_text(TROUBLE)
    (package / "trouble-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: trouble\nVersion: 1\n")
    entry = "[blackbox_grad.backends]\ntrouble = trouble_backend:Backend\n"
    (package / "trouble-1.dist-info" / "entry_points.txt").write_text(entry)
    return {"PYTHONPATH": str(package)}


@pytest.mark.slow
def test_trouble_is_a_row_and_not_the_end(tmp_path: Path, trouble: dict[str, str]) -> None:
    kinds = ("crashes", "hangs", "forgets", "works", "needs-another-host", "plays-notes", "dies-at-opening")
    addresses = [f"trouble:{kind}" for kind in kinds] + ["pedalboard-builtin:Nothing"]
    done = run(tmp_path, *addresses, "--time-limit", "20", **trouble)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 of 8 pass" in done.stdout
    verdicts = {name: cells[0] for name, cells in rows(tmp_path).items()}
    assert verdicts == dict.fromkeys(("crashes", "hangs", "forgets", "Nothing"), "**fails**") | {"works": "passes"}
    page = (tmp_path / "page.md").read_text("utf-8")
    assert "**1 of 7 effects keep every promise**" in page, "an instrument is no effect"
    assert "- `needs-another-host`: …: it needs CV ports" in page
    assert re.search(r"- `dies-at-opening`: RenderError: …: opening it crashed with SIGABRT in \d host processes", page)
    assert "These are instruments, generators or analysers, and are not examined here: `plays-notes`." in page
    assert "its process crashed (SIGABRT) during timing" in page
    assert "its process was not done after 20 s during timing" in page
    assert "*same bits after any history*: the same audio and point rendered differently at once" in page
    assert "*it opens*: EffectNotFoundError: " in page


@pytest.mark.slow
def test_a_run_that_was_interrupted_goes_on_and_keeps_what_is_known(tmp_path: Path, trouble: dict[str, str]) -> None:
    run(tmp_path, "trouble:works", **trouble)
    known = json.loads((tmp_path / "results.json").read_text("utf-8"))
    known["trouble:works"]["name"] = "kept"
    (tmp_path / "results.json").write_text(json.dumps(known))
    done = run(tmp_path, "reference:gain", **trouble)
    assert "1 effects to examine; 1 results are known" in done.stdout
    assert json.loads((tmp_path / "results.json").read_text("utf-8"))["trouble:works"]["name"] == "kept"
    assert set(rows(tmp_path)) == {"gain", "works"}
    assert not list(tmp_path.glob(".*.part"))


def test_the_page_in_the_docs_is_a_generated_one() -> None:
    page = (ROOT / "docs" / "measured" / "plug-ins.md").read_text("utf-8")
    found = re.search(r"\*\*(\d+) of (\d+) effects keep every promise", page)
    assert found is not None
    assert int(found[2]) > 100
    assert int(found[1]) == len(re.findall(r"^\| `[^`]+` \| passes \|", page, re.MULTILINE))


def test_the_makefile_and_ci_install_the_packages_of_the_list() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import compatibility

    assert compatibility.packages("tests") == ["mda-lv2", "zam-plugins"]
    assert len(compatibility.packages("ci")) == 10
    assert len(set(compatibility.packages())) == len(compatibility.packages()) >= 30
    for target, mark in (("plugins", "tests"), ("plugins-ci", "ci"), ("plugins-all", None)):
        command = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        assert f"apt-get install -y -qq {' '.join(compatibility.packages(mark))};" in command
    assert "sed -nE 's/ (tests|ci)$//p' benchmarks/plugin_packages.txt" in (ROOT / ".ci" / "run").read_text("utf-8")
