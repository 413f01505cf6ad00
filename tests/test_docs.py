"""Every code block of the README and the docs is run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
NEEDS_PLUGINS = re.compile(r"Zam|drobilla|mda")


def blocks(language: str) -> list:
    found = []
    for page in PAGES:
        for number, match in enumerate(FENCE.finditer(page.read_text()), 1):
            if match[1] == language:
                marks = [pytest.mark.plugins] if NEEDS_PLUGINS.search(match[2]) else []
                found.append(pytest.param(match[2], id=f"{page.relative_to(ROOT)}-{number}", marks=marks))
    return found


def test_blocks_name_their_language():
    for page in PAGES:
        for match in FENCE.finditer(page.read_text()):
            assert match[1] in ("python", "sh", "toml", "text"), f"{page.name}: a block of {match[1]!r}"


@pytest.mark.parametrize("source", blocks("python"))
def test_python_runs(source, tmp_path):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}  # what a block remembers is nobody's here
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("source", blocks("sh"))
def test_commands_run(source, tmp_path):
    """`blackbox-grad` runs as it stands; for `make` and `pip`, that the target or extra exists."""
    from blackbox_grad.audio_files import example, write

    audio, rate = example()
    write(tmp_path / "in.wav", audio[:, : int(rate)], rate)
    write(tmp_path / "target.wav", audio[:, : int(rate)] * 2, rate)
    for line in source.strip().splitlines():
        command, *arguments = shlex.split(line, comments=True)
        match command:
            case "make":
                subprocess.run(["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True, timeout=30)
            case "pip":
                extras = set(re.findall(r"\[(\w+)\]", line))
                assert extras <= set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
            case "blackbox-grad":
                program = Path(sys.executable).parent / command
                done = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=240, cwd=tmp_path)
                assert done.returncode == 0, done.stderr
            case _:
                pytest.fail(f"{line!r}: say how this command is to be tested")
