"""Keep a plug-in from changing the floating-point mode of this thread.

Some plug-ins make the processor flush tiny numbers to zero, and leave it so (every VST3 of Debian's `zam-plugins`, on opening).
From then on, other effects in this thread give other bits, and libraries that rely on IEEE 754 fail.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Iterator
from typing import Any

#: Bytes: more than `fenv_t` of any C library in use (glibc, x86-64: 32).
_BYTES = 256


@contextlib.contextmanager
def float_mode_kept() -> Iterator[None]:
    """Restore the floating-point environment (rounding, flushing, exception flags) after the block. Costs 1 µs.

    Does nothing if the C library has no `fegetenv`, as on Windows.
    """
    library = _c_library()
    if library is None:
        yield
        return
    saved = ctypes.create_string_buffer(_BYTES)
    library.fegetenv(saved)
    try:
        yield
    finally:
        library.fesetenv(saved)


@functools.cache
def _c_library() -> Any:
    for name in ("libm.so.6", None):  # None: the libraries that this process has loaded
        with contextlib.suppress(OSError, AttributeError, TypeError):
            library = ctypes.CDLL(name)
            library.fegetenv.argtypes = library.fesetenv.argtypes = (ctypes.c_char_p,)
            return library
    return None
