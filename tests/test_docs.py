"""Every code block of the README and the docs is run."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import succeed_here

from blackbox_grad.audio_files import example, write

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: A page whose loader forks, which does not go well with the threads of JAX. It runs in a process of its own.
FORKS = "docs/how-to/style-matching/data.md"
NEEDS_PLUGINS = re.compile(r"Zam|drobilla|mda")


def blocks(language: str) -> list:
    found = []
    for page in PAGES:
        for number, match in enumerate(FENCE.finditer(page.read_text()), 1):
            if match[1] == language:
                found.append((page.relative_to(ROOT), number, match[2]))
    return found


def marks(source: str) -> list:
    return [pytest.mark.plugins] if NEEDS_PLUGINS.search(source) else []


def pages() -> list:
    """The Python blocks of each page: those that open installed plug-ins, and the others."""
    groups = {}
    for page, number, source in blocks("python"):
        groups.setdefault((page, bool(marks(source))), []).append((f"{page}, block {number}", source))
    return [
        pytest.param(sources, id=f"{page}{'-plugins' * plugins}", marks=[pytest.mark.plugins] * plugins)
        for (page, plugins), sources in groups.items()
    ]


def test_blocks_name_their_language():
    for page in PAGES:
        for match in FENCE.finditer(page.read_text()):
            assert match[1] in ("python", "sh", "toml", "text"), f"{page.name}: a block of {match[1]!r}"


@pytest.mark.parametrize("sources", pages())
def test_python_runs(sources, tmp_path, monkeypatch):
    """Each block as a program of its own, though in one process, where torch and other libraries start once."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # an empty cache
    monkeypatch.chdir(tmp_path)
    if sources[0][0].startswith(FORKS):
        command = [sys.executable, "-c", f"{inspect.getsource(run_all)}run_all({sources!r})"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stdout + done.stderr
    else:
        run_all(sources)


def run_all(sources):
    for name, source in sources:
        print(name, flush=True)
        exec(compile(source, name, "exec"), {"__name__": "__main__"})


@pytest.mark.plugins
def test_the_first_example_of_the_readme_shows_a_full_gradient():
    names = {}
    exec(next(source for page, _, source in blocks("python") if str(page) == "README.md"), names)
    assert names["p"].grad.all(), "no parameter of no item has a gradient of 0"


@pytest.mark.parametrize(
    "source", [pytest.param(source, id=f"{page}-{number}", marks=marks(source)) for page, number, source in blocks("sh")]
)
def test_commands_run(source, tmp_path, monkeypatch, capsys):
    """`blackbox-grad` runs as it stands; for `make` and `pip`, that the target or extra exists."""
    monkeypatch.chdir(tmp_path)
    audio, rate = example()
    write(tmp_path / "in.wav", audio[:, : int(rate)], rate)
    write(tmp_path / "target.wav", audio[:, : int(rate)] * 2, rate)
    for line in source.strip().replace("\\\n", " ").splitlines():
        command, *arguments = shlex.split(line, comments=True)
        match command:
            case "make":
                subprocess.run(["make", "-n", *arguments], cwd=ROOT, check=True, capture_output=True, timeout=30)
            case "pip":
                extras = {extra for listed in re.findall(r"\[([\w,-]+)\]", line) for extra in listed.split(",")}
                assert extras <= set(re.findall(r"^([\w-]+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE))
            case "blackbox-grad" if arguments[0] == "app":  # it runs until it is stopped: tests/app
                succeed_here(capsys, *arguments, "--help")
            case "blackbox-grad":
                succeed_here(capsys, *arguments)
            case _:
                pytest.fail(f"{line!r}: say how this command is to be tested")
