"""A host imports from where its parent imports, whatever is in `sys.path`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
sys.path = [entry for entry in sys.path if entry]
import pathlib
sys.path[:0] = [pathlib.Path("/nowhere"), "/a:b"]
sys.path += [sys.argv[1], pathlib.Path("/else")]
import blackbox_grad as bg
if __name__ == "__main__":
    with bg.ProcessPool(1) as pool:
        print(pool.open(bg.EffectSpec.of("faulty:pid")).name, pool.open(bg.EffectSpec.of("reference:gain")).name)
"""


@pytest.mark.parametrize(
    "environment", [{}, {"PYTHONSAFEPATH": "1", "PYTHONPATH": "/x:/y"}], ids=lambda e: next(iter(e), "usual")
)
def test_a_host_finds_what_its_parent_finds(tmp_path, third_party, environment):
    """A colon in a folder's name, `Path` objects, a safe path; and no module of the working directory replaces Python's."""
    folder = tmp_path / "my:plug-ins é"
    folder.symlink_to(third_party)
    elsewhere = tmp_path / "work"
    elsewhere.mkdir()
    (elsewhere / "struct.py").write_text("raise SystemExit('not this one')")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        cwd=elsewhere,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout == "pid gain\n", done.stderr
