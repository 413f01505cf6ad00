"""The same memory and the same chance for every new plug-in.

Some plug-ins start from memory that they never wrote, or draw from the C library's random numbers. Then equal input gives
unequal output, and which one depends on what the process did before. Measured in DawDreamer with memory that was used before:
the MDA Delay's renders differ by 1 %, DubDelay's by 45 %, RezFilter's and BeatBox's by more than 100 %; Dither, VocInput and
TestTone call `rand()`. With both calls below all of them were bit-equal.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

#: `M_PERTURB` of glibc's malloc.h: new memory is filled with the complement of this byte.
_M_PERTURB = -6
_COMPLEMENT_OF_ZERO = 0xFF


@contextmanager
def zeroed_memory() -> Iterator[None]:
    """Memory that is allocated in here starts as zeros (glibc only; elsewhere nothing changes).

    Blocks below about 1 kB may come from malloc's thread cache, which does not fill them.
    """
    mallopt = getattr(_c_library(), "mallopt", None)
    if mallopt is None:
        yield
        return
    mallopt(_M_PERTURB, _COMPLEMENT_OF_ZERO)
    try:
        yield
    finally:
        mallopt(_M_PERTURB, 0)


def reseed() -> None:
    """Start the C library's `rand()` anew. Neither Python, numpy nor torch use it."""
    srand = getattr(_c_library(), "srand", None)
    if srand is not None:
        srand(1)


@cache
def _c_library() -> Any:
    return None if sys.platform == "win32" else ctypes.CDLL(None)
