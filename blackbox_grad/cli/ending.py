"""How a command begins and ends: its streams take any text, and every error is one sentence and an exit code."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import signal
import sys
import threading
import traceback
import unicodedata
from collections.abc import Iterator
from typing import Any

from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.interrupts import Terminated

#: What terminals without these characters show. Others lose their accents, or become a question mark.
_SPELT = {"→": "->", "…": "...", "–": "-", "—": "-", "−": "-", "×": "x", "±": "+-", "÷": "/", "·": "*", "✓": "yes", "µ": "u"}

#: Errors of a file without a name, which is stdout.
_OF_STREAMS = (errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)

#: Set: an error that nobody expected is shown with its traceback.
TRACEBACK = "BLACKBOX_GRAD_TRACEBACK"

#: Exit codes of commands that Ctrl-C and SIGTERM ended.
_INTERRUPTED, _TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


def prepare_streams() -> None:
    """Make stdout and stderr take any text, and put something in the place of closed ones.

    A closed stream's number would go to the next file that is opened, and a plug-in that prints would write into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = _Closed()
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    codecs.register_error("blackbox_grad.spelt", _spelt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="blackbox_grad.spelt")
    sys.unraisablehook = _unraisable


@contextlib.contextmanager
def ending(passing: tuple[type[BaseException], ...] = ()) -> Iterator[None]:
    """Turn what ends a command into one sentence on stderr and `SystemExit` with a code. Errors of the types `passing` pass."""
    try:
        yield
        sys.stdout.flush()
    except passing:
        raise
    except SystemExit as end:
        if (lost := _drained()) is not None:
            _complain(lost)
            raise SystemExit(1) from None
        if end.code == _INTERRUPTED and any(isinstance(e, Terminated) for e in _chain(end)):  # typer takes both for Ctrl-C
            raise SystemExit(_TERMINATED) from None
        raise
    except BaseException as error:
        lost = _drained()
        if (interrupt := _interrupt(error)) is None:
            code, sentence = _verdict(error)
        else:
            terminated, sentence = isinstance(interrupt, Terminated), ""
            code = _TERMINATED if terminated else _INTERRUPTED
            _say_stopped("SIGTERM" if terminated else "Ctrl-C")
        _complain(lost or sentence)
        raise SystemExit(code) from error


def _complain(sentence: str) -> None:
    from blackbox_grad.cli.console import complain

    if sentence:
        complain(sentence)


def _say_stopped(by: str) -> None:
    from blackbox_grad.cli.console import err

    err().print(f"Stopped by {by}.")


def _interrupt(error: BaseException) -> BaseException | None:
    """The Ctrl-C or SIGTERM that ended a command, if one did."""
    if isinstance(error, BlackboxGradError):
        return None
    return next((e for e in _chain(error) if isinstance(e, KeyboardInterrupt)), None)


def _verdict(error: BaseException) -> tuple[int, str]:
    """Exit code and sentence."""
    if isinstance(error, BlackboxGradError):
        return 1, str(error)
    if isinstance(error, BrokenPipeError):
        return 1, ""  # the reader has ended (`| head`)
    if isinstance(error, OSError) and error.strerror:
        what = error.filename or ("stdout" if error.errno in _OF_STREAMS else "")
        return 1, f"{what}: {error.strerror}" if what else error.strerror
    if isinstance(error, MemoryError):
        return 1, "the memory does not suffice; give shorter audio, or close other programs"
    if isinstance(error, RecursionError):
        return 1, "a file or an argument is nested too deeply to be read"
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    what = " ".join(str(error).split())
    return 1, f"unexpected {type(error).__name__}: {what}; please report it with what {TRACEBACK}=1 shows"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _drained() -> str | None:
    """Empty stdout's buffer. If that fails, drop it, as the interpreter would complain at its end, and return why, or "" if the
    reader has ended."""
    try:
        sys.stdout.flush()
        return None
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "" if isinstance(error, BrokenPipeError) else f"stdout: {getattr(error, 'strerror', None) or error}"


class _Closed(io.TextIOBase):
    """Stands for a stdout that was closed before the program began."""

    encoding = "utf-8"

    def write(self, text: str, /) -> int:
        raise OSError(errno.EBADF, "closed, so the result cannot be printed")


def _spelt(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes of a file name that are no text are written as they are, other characters as their nearest."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    if "\udc80" <= character <= "\udcff":
        return bytes([ord(character) - 0xDC00]), error.start + 1
    nearest = _SPELT.get(character) or unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return nearest or "?", error.start + 1


def _unraisable(found: Any) -> None:
    """Ctrl-C or SIGTERM that arrives where Python can raise nothing comes again a moment later."""
    if isinstance(found.exc_value, KeyboardInterrupt):
        number = signal.SIGTERM if isinstance(found.exc_value, Terminated) else signal.SIGINT
        again = threading.Timer(0.02, signal.raise_signal, [number])
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(found)
