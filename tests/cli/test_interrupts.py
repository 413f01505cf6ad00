"""Ctrl-C at any moment of a command: an exit code, and never a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from blackbox_grad import audio_files
from blackbox_grad.cli import main
from blackbox_grad.interrupts import Interrupt, Terminated, deferred_interrupts

#: Says when the command line has taken over. Before, Python itself starts.
PROGRAM = """
import contextlib, sys
from blackbox_grad import cli

usual = cli.importing

@contextlib.contextmanager
def importing():
    with usual():
        print("begun", flush=True)
        yield

cli.importing = importing
cli.main(sys.argv[1:])
"""


def interrupted(delay: float, number: int, *arguments: str) -> tuple[int, str]:
    """Exit code and stderr of a command that gets a signal so many seconds after its beginning."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(delay)
        process.send_signal(number)
        _, err = process.communicate(timeout=240)
    return process.returncode, err


def commands(folder: Path) -> list[tuple[str, ...]]:
    audio, rate = audio_files.example()
    audio_files.write(folder / "dry.wav", audio[:1, :5000], rate)
    dry = str(folder / "dry.wav")
    return [
        ("match", "reference:delay", dry, dry, "--renders", "1000000", "--host", "in-process", "-o", str(folder / "out.wav")),
        ("render", "reference:delay", dry, str(folder / "out.wav")),
        ("effects",),
    ]


@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_ctrl_c_while_importing_is_no_traceback(tmp_path: Path, delay: float) -> None:
    code, err = interrupted(delay, signal.SIGINT, *commands(tmp_path)[0])
    assert code in (130, 0), err
    assert "Traceback" not in err
    assert "Error" not in err


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_a_signal_at_any_moment_is_no_traceback(tmp_path: Path, part: int) -> None:
    for step in range(12):
        for number in (signal.SIGINT, signal.SIGTERM):
            code, err = interrupted(0.1 * step, number, *commands(tmp_path)[part])
            assert code in (0, 128 + number, -number), err  # a shell reports both as 128 + number
            assert "Traceback" not in err
            assert "Error" not in err
            assert not [path for path in tmp_path.iterdir() if path.suffix == ".part"]


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_in_the_middle_of_a_file_leaves_no_half_of_it_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, name: str
) -> None:
    arguments, usual = [*commands(tmp_path)[1], "--host", "in-process"], Path.write_bytes

    def half(path: Path, content: memoryview) -> int:
        written = usual(path, content[: len(content) // 2])
        signal.raise_signal(number)
        return written

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 128 + number
    assert capsys.readouterr().err == f"Stopped by {name}.\n"
    assert [path.name for path in tmp_path.iterdir()] == ["dry.wav"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


# the blocks that a signal waits for


def test_a_signal_waits_for_the_end_of_the_block_and_takes_effect_at_once_the_second_time() -> None:
    for number, kind in ((signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)):
        with deferred_interrupts() as interrupt:
            signal.raise_signal(number)
            assert (interrupt.pressed, interrupt.number, interrupt.exit_code) == (True, number, 128 + number)
            with pytest.raises(kind):
                interrupt.check()
            with pytest.raises(kind):
                signal.raise_signal(number)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_block_around_a_block_knows_of_the_signal() -> None:
    outer = Interrupt()
    with deferred_interrupts(into=outer):
        with deferred_interrupts() as inner:
            signal.raise_signal(signal.SIGTERM)
            assert inner.name == outer.name == "SIGTERM"
        with pytest.raises(Terminated):
            signal.raise_signal(signal.SIGTERM)  # the second time


def test_a_signal_does_not_wait_before_there_is_something_to_keep() -> None:
    there = False
    with deferred_interrupts(lambda: there) as interrupt:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert interrupt.pressed
    with deferred_interrupts(lambda: there):
        there = True
        signal.raise_signal(signal.SIGINT)


def test_a_handler_of_the_program_stays() -> None:
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(1))
    try:
        with deferred_interrupts() as interrupt:
            signal.raise_signal(signal.SIGINT)
        assert (seen, interrupt.pressed) == ([1], False)
    finally:
        signal.signal(signal.SIGINT, before)
