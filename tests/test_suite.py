"""The promises of the test suite itself: what it does without the system plug-ins, and with a test that never returns."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent

NEEDS_PLUGINS = """
import pytest

@pytest.mark.plugins
def test_with_plugins():
    pass

def test_without():
    pass
"""

# A deadlock in C. PyDLL keeps Python's lock while it calls, as a plug-in that freezes the whole interpreter does.
NEVER_RETURNS = """
import ctypes

def test_frozen():
    library, mutex = ctypes.PyDLL(None), ctypes.create_string_buffer(128)
    library.pthread_mutex_init(mutex, None)
    library.pthread_mutex_lock(mutex)
    library.pthread_mutex_lock(mutex)
"""


def run_pytest(folder: Path, source: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """pytest with this repository's configuration, in a process of its own, on one file."""
    (folder / "test_sample.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-c", str(TESTS.parent / "pyproject.toml"), "--rootdir", str(folder)]
    command += ["-p", "conftest", "-p", "no:cacheprovider", *options, str(folder)]
    inherited = {k: v for k, v in os.environ.items() if k != "BLACKBOX_GRAD_REQUIRE_PLUGINS"}
    environment = inherited | {"PYTHONPATH": str(TESTS.parent)} | environment
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)


@pytest.fixture
def no_plugins(tmp_path: Path) -> dict[str, str]:
    """An environment in which no plug-in is installed."""
    return {"LV2_PATH": str(tmp_path / "none"), "VST3_PATH": str(tmp_path / "none")}


def test_without_the_plugins_their_tests_are_left_out_and_one_line_says_so(tmp_path: Path, no_plugins: dict[str, str]) -> None:
    done = run_pytest(tmp_path, NEEDS_PLUGINS, **no_plugins)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed, 1 skipped" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("Left out")]
    assert line.startswith("Left out: 1 tests that open plug-ins of mda-lv2 and zam-plugins; to have them: ")


def test_a_required_plugin_that_is_missing_is_a_failure(tmp_path: Path, no_plugins: dict[str, str]) -> None:
    done = run_pytest(tmp_path, NEEDS_PLUGINS, BLACKBOX_GRAD_REQUIRE_PLUGINS="1", **no_plugins)
    assert done.returncode == 1
    assert "mda-lv2 and zam-plugins are not installed; to have them: " in done.stdout + done.stderr


@pytest.mark.plugins
def test_with_the_plugins_nothing_is_left_out(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, NEEDS_PLUGINS, BLACKBOX_GRAD_REQUIRE_PLUGINS="1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


@pytest.mark.slow
def test_an_interpreter_that_freezes_ends_the_run_and_shows_where(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, NEVER_RETURNS, "-o", "timeout=1", "-o", "faulthandler_timeout=3")
    assert done.returncode == 1
    assert "in test_frozen" in done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_neither_empties_nor_removes_an_environment_that_it_did_not_make(tmp_path: Path) -> None:
    mine = tmp_path / "venv" / "mine"
    mine.parent.mkdir()
    mine.touch()
    for folder in ("blackbox_grad", "backends", "adapters", "tests", "benchmarks"):
        (tmp_path / folder).mkdir()
    makefile = TESTS.parent / "Makefile"
    for target, code, said in (
        (f"{mine.parent}/.created", 2, "is here already, and make did not make it"),
        ("distclean", 0, "stays: make did not make it"),
    ):
        command = ["make", "-f", str(makefile), f"VENV={mine.parent}", "--", target]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
        assert done.returncode == code, done.stderr
        assert said in done.stdout
        assert mine.exists()
