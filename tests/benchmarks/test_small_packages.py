"""The effects of ten small packages of plug-ins, which nothing else here opens: each keeps its promises, or is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
import compatibility  # noqa: E402
from compatibility_page import verdict  # noqa: E402

#: The laws that break first with an unknown plug-in.
LAWS = (
    "same bits after any history",
    "it repeats",
    "shape and type are kept",
    "latency is taken out",
    "layout is adapted as stated",
)

#: Package -> how many effects of it pass, and how many are refused.
VERDICTS = {
    "abgate": (1, 0), "ardour-lv2-plugins": (8, 0), "blop-lv2": (2, 1), "eq10q": (17, 0), "fomp": (5, 6),
    "invada-studio-plugins-lv2": (15, 0), "ir.lv2": (1, 0), "lv2-examples": (5, 0), "lv2vocoder": (1, 0), "rubberband-lv2": (2, 2),
}  # fmt: skip

#: They read or write beyond their memory, and then crash, or play what lies there, or not.
OUT_OF_BOUNDS = {
    *(f"dawdreamer:http://invadarecords.com/plugins/lv2/erreverb/{kind}" for kind in ("mono", "sum")),
    *(f"dawdreamer:http://drobilla.net/plugins/fomp/{kind}" for kind in ("cs_chorus1", "cs_chorus2", "triple_chorus")),
}

#: Their controls do nothing to a second of audio: until a switch is turned on, and as a gate is held open for longer.
NO_GRADIENT = {"dawdreamer:http://drobilla.net/plugins/fomp/parametric1", "dawdreamer:http://hippie.lt/lv2/gate"}


def missing() -> list[str]:
    def is_installed(package: str) -> bool:
        return subprocess.run(["dpkg", "-s", package], capture_output=True, check=False).returncode == 0

    return [p for p in compatibility.packages("ci") if shutil.which("dpkg") is None or not is_installed(p)]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_effect_of_ten_small_packages_passes_or_is_refused(tmp_path: Path) -> None:
    if left := missing():
        pytest.skip(f"needs {' '.join(left)}: make plugins-ci")
    results = tmp_path / "results.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "compatibility.py"), "--seconds", "0.05", "--time-limit", "120"]
    command += ["--packages", ",".join(compatibility.packages("ci")), "--laws", ",".join(LAWS)]
    command += ["--page", str(tmp_path / "page.md"), "--results", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=1500)
    rows = list(json.loads(results.read_text("utf-8")).values())
    rows = [row for row in rows if row["address"] not in OUT_OF_BOUNDS]
    assert not {r["address"]: r["failed"] for r in rows if r["failed"]}, done.stdout
    counts = {
        p: tuple(sum(verdict(r) == v for r in rows if r["package"] == p) for v in ("passes", "refused")) for p in VERDICTS
    }
    assert counts == VERDICTS
    for row in rows:
        if verdict(row) == "passes" and row["kinds"]["continuous"]:
            assert row["gradient"] == (row["address"] not in NO_GRADIENT), row["address"]
        elif verdict(row) == "refused":
            assert row["refused"].startswith(row["address"]), "its process ended"
