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
LAWS = ("same bits after any history", "shape and type are kept", "latency is taken out", "layout is adapted as stated")

#: Package -> how many effects of it pass and are refused.
VERDICTS: dict[str, tuple[int, int]] = {}


def missing() -> list[str]:
    def is_installed(package: str) -> bool:
        return subprocess.run(["dpkg", "-s", package], capture_output=True, check=False).returncode == 0

    return [p for p in compatibility.packages("ci") if shutil.which("dpkg") is None or not is_installed(p)]


@pytest.mark.slow
def test_every_effect_of_ten_small_packages_passes_or_is_refused(tmp_path: Path) -> None:
    if left := missing():
        pytest.skip(f"needs {' '.join(left)}: make plugins-ci")
    results = tmp_path / "results.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "compatibility.py"), "--seconds", "0.05", "--time-limit", "120"]
    command += ["--packages", ",".join(compatibility.packages("ci")), "--laws", ",".join(LAWS)]
    command += ["--page", str(tmp_path / "page.md"), "--results", str(results)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=1500)
    rows = json.loads(results.read_text("utf-8")).values()
    assert not {r["address"]: r["failed"] for r in rows if r["failed"]}, done.stdout
    found = {p: tuple(sum(verdict(r) == v for r in rows if r["package"] == p) for v in ("passes", "refused")) for p in VERDICTS}
    assert found == VERDICTS
    for row in rows:
        if verdict(row) == "passes":
            assert row["gradient"] or not row["kinds"]["continuous"], row["address"]
        elif verdict(row) == "refused":
            assert "crash" not in row["refused"] or "CV" in row["refused"], row["refused"]
