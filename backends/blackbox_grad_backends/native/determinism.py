"""The same memory and the same random numbers for every new plug-in.

Some plug-ins start from uninitialised memory, or use the C library's random numbers. Then equal input gives unequal output, which
depends on the history of the process. Measured in DawDreamer with used memory: the MDA Delay's renders differ by 1 %, DubDelay's
by 45 %, RezFilter's and BeatBox's by more than 100 %. Vocoder starts from the filters of the instance before it. Dither, VocInput
and TestTone call `rand()`. With both functions below all of them were bit-equal.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from blackbox_grad_backends.native.thread_cache import KeptBlocks, kept_blocks

#: `M_PERTURB` of glibc's malloc.h: new memory is filled with the complement of this byte.
_M_PERTURB = -6

_COMPLEMENT_OF_ZERO = 0xFF

#: Sizes of the blocks that glibc's malloc keeps in its thread cache, with their old content.
_CACHED_SIZES = range(24, 1033, 16)


@contextmanager
def zeroed_memory(small_blocks: bool = True) -> Iterator[None]:
    """Memory that is allocated inside the block starts as zeros (glibc only; elsewhere nothing changes).

    That holds for what the block itself freed before, too: the thread cache, which would give it back as it was, is emptied
    and takes no block until the end. Hosts have no thread cache.

    Without `small_blocks`, allocations up to 1 032 bytes may keep their old content, which saves 0.1 ms.
    """
    library = _c_library()
    if not hasattr(library, "mallopt"):
        yield
        return
    kept = kept_blocks()
    held = [library.malloc(size) for size in _CACHED_SIZES for _ in range(kept.usual)] if small_blocks else []
    try:
        with _zeroing.within(library, kept, small_blocks):
            yield
    finally:
        deque(map(library.free, held), maxlen=0)


class _Zeroing:
    """The switches of the allocator. They belong to the process: the last thread that leaves a block turns them back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = self._without_cache = 0

    @contextmanager
    def within(self, library: Any, kept: KeptBlocks, without_cache: bool) -> Iterator[None]:
        self._count(library, kept, 1, without_cache)
        try:
            yield
        finally:
            self._count(library, kept, -1, without_cache)

    def _count(self, library: Any, kept: KeptBlocks, more: int, without_cache: bool) -> None:
        with self._lock:
            self._inside += more
            self._without_cache += more * without_cache
            kept.set(0 if self._without_cache else kept.usual)
            library.mallopt(_M_PERTURB, _COMPLEMENT_OF_ZERO if self._inside else 0)


_zeroing = _Zeroing()


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
