"""The command line for tests: the program that is installed, or, quicker, the same command in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TypeAlias

import pytest

from blackbox_grad.cli import main

PROGRAM = Path(sys.executable).with_name("blackbox-grad")
Capture: TypeAlias = "pytest.CaptureFixture[str]"


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(PROGRAM), *map(str, arguments)]
    environ = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")} | environment
    return subprocess.run(command, capture_output=True, text=True, env=environ, timeout=240, check=False)


def succeed(*arguments: str | Path, **environment: str) -> str:
    done = run(*arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fail(*arguments: str | Path, code: int = 1, **environment: str) -> str:
    """The text on stderr; stdout stays empty."""
    done = run(*arguments, **environment)
    assert (done.returncode, done.stdout) == (code, ""), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def run_here(capsys: Capture, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`run` in this process, which has already imported torch."""
    capsys.readouterr()
    command = [str(argument) for argument in arguments]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(PROGRAM), *command])
        for name, value in environment.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(command)
    assert isinstance(ended.value.code, int)
    return subprocess.CompletedProcess(arguments, ended.value.code, *capsys.readouterr())


def succeed_here(capsys: Capture, *arguments: str | Path, **environment: str) -> str:
    """`succeed` in this process."""
    done = run_here(capsys, *arguments, **environment)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def fail_here(capsys: Capture, *arguments: str | Path, code: int = 1, **environment: str) -> str:
    """`fail` in this process."""
    done = run_here(capsys, *arguments, **environment)
    assert (done.returncode, done.stdout) == (code, ""), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert code != 1 or done.stderr.count("\n") == 1, done.stderr
    return str(done.stderr)
