"""The same memory and the same chance for every new plug-in.

Some plug-ins start from memory that they never wrote, or draw from the C library's random numbers. Then equal input gives
unequal output, and which one depends on what the process did before. Measured in DawDreamer with memory that was used before:
the MDA Delay's renders differ by 1 %, DubDelay's by 45 %, RezFilter's and BeatBox's by more than 100 %, Vocoder starts from the
filters of the instance before it; Dither, VocInput and TestTone call `rand()`. With both calls below all of them were bit-equal.
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


#: What malloc's thread cache of glibc holds at most, 7 blocks of each size; it hands them out as they are. Hosts have none.
_HAS_CACHE = "glibc.malloc.tcache_count=0" not in os.environ.get("GLIBC_TUNABLES", "").split(":")


_CACHED_SIZES = [ctypes.c_size_t(size) for size in range(24, 1033, 16) for _ in range(7)] if _HAS_CACHE else []


@contextmanager
def zeroed_memory(small_blocks: bool = True) -> Iterator[None]:
    """Memory that is allocated in here starts as zeros (glibc only; elsewhere nothing changes).

    Without `small_blocks` those up to 1 032 bytes may keep their old content, which saves 0.1 ms.
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
    """Restart the C library's `rand()`. Neither Python, numpy nor torch use it."""
    library = _c_library()
    if hasattr(library, "srand"):
        library.srand(1)


@cache
def _c_library() -> Any:
    if sys.platform == "win32":
        return None
    library = ctypes.PyDLL(None)  # keeps the interpreter lock: half the time of ctypes.CDLL for calls this short
    library.malloc.argtypes, library.malloc.restype = [ctypes.c_size_t], ctypes.c_void_p
    library.free.argtypes, library.free.restype = [ctypes.c_void_p], None
    return library
