"""The same memory and the same random numbers for every new plug-in.

Some plug-ins start from uninitialised memory, or use the C library's random numbers. Then equal input gives unequal output, which
depends on the history of the process. Measured in DawDreamer with used memory: the MDA Delay's renders differ by 1 %, DubDelay's
by 45 %, RezFilter's and BeatBox's by more than 100 %. Vocoder starts from the filters of the instance before it. Dither, VocInput
and TestTone call `rand()`. With both functions below all of them were bit-equal.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

#: `M_PERTURB` of glibc's malloc.h: new memory is filled with the complement of this byte.
_M_PERTURB = -6

_COMPLEMENT_OF_ZERO = 0xFF

#: The most that glibc's malloc keeps in its thread cache: 7 blocks of each size, with their old content. Hosts have no such cache.
_HAS_CACHE = "glibc.malloc.tcache_count=0" not in os.environ.get("GLIBC_TUNABLES", "").split(":")

_CACHED_SIZES = [ctypes.c_size_t(size) for size in range(24, 1033, 16) for _ in range(7)] if _HAS_CACHE else []


@contextmanager
def zeroed_memory(small_blocks: bool = True) -> Iterator[None]:
    """Memory that is allocated inside the block starts as zeros (glibc only; elsewhere nothing changes).

    Without `small_blocks`, allocations up to 1 032 bytes may keep their old content, which saves 0.1 ms.
    """
    library = _c_library()
    if not hasattr(library, "mallopt"):
        yield
        return
    held = list(map(library.malloc, _CACHED_SIZES)) if small_blocks else []
    library.mallopt(_M_PERTURB, _COMPLEMENT_OF_ZERO)
    try:
        yield
    finally:
        library.mallopt(_M_PERTURB, 0)
        deque(map(library.free, held), maxlen=0)


def reseed() -> None:
    """Restart the C library's `rand()`, which Python, numpy and torch do not use."""
    library = _c_library()
    if hasattr(library, "srand"):
        library.srand(1)


@cache
def _c_library() -> Any:
    if sys.platform == "win32":
        return None
    library = ctypes.PyDLL(None)  # keeps the interpreter lock: for such short calls, half the time of ctypes.CDLL
    library.malloc.argtypes, library.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    library.free.argtypes, library.free.restype = [ctypes.c_void_p], None
    return library
