"""Keep plug-ins and host libraries from writing to the user's terminal."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Drop everything written to file descriptors 1 and 2 inside the block, also by C++ code.

    The descriptors belong to the whole process, so keep the block short. Text already in buffers is still printed.
    """
    _flush()
    saved: dict[int, int] = {}
    try:
        for descriptor in (1, 2):
            try:
                saved[descriptor] = os.dup(descriptor)
            except OSError:  # closed, in a program without a console
                continue
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        yield
    finally:
        _flush()
        for descriptor, copy in saved.items():
            os.dup2(copy, descriptor)
            os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, RuntimeError):  # a full disk, closed, in the middle of another flush
            if stream is not None:
                stream.flush()
    if sys.platform != "win32":
        ctypes.CDLL(None).fflush(None)
