"""How many freed blocks of each size glibc's malloc keeps for a thread: a number of a running process.

glibc reads the number from the environment when a process begins (`GLIBC_TUNABLES=glibc.malloc.tcache_count=0`, as hosts have it).
Later no function changes it. It is a field of the allocator's settings, which lie in the writable data of the C library. They are
found by their values: the numbers below, in this order, stand nowhere else there.
"""

from __future__ import annotations

import ctypes
import os
import re
import struct
from contextlib import suppress
from functools import cache

#: Where the settings hold the number of blocks: after the number of sizes and the largest size in bytes.
_SIZES, _LARGEST, _BLOCKS = 64, 1032, 7

#: One field of the settings, bytes.
_FIELD = 8

_NO_CACHE = "glibc.malloc.tcache_count=0"


class KeptBlocks:
    """The number in this process. `usual`: what it was at first; 0 if threads keep nothing.

    Where it was not found (another C library, an unusual environment), `set` does nothing.
    """

    def __init__(self, usual: int, field: ctypes.c_size_t | None = None) -> None:
        self.usual, self._field = usual, field

    def set(self, count: int) -> None:
        """Of blocks that are freed from now on, a thread keeps `count` of each size. What it keeps already stays."""
        if self._field is not None and self._field.value != count:
            self._field.value = count


@cache
def kept_blocks() -> KeptBlocks:
    """The number of this process."""
    if _NO_CACHE in os.environ.get("GLIBC_TUNABLES", "").split(":"):
        return KeptBlocks(0)
    found: list[int] = []
    pattern = re.compile(re.escape(struct.pack("<4Q", _SIZES, _LARGEST, _BLOCKS, 0)))
    with suppress(OSError, ValueError):
        for start, end in _writable_data():
            content = ctypes.string_at(start, end - start)
            found += [start + match.start() + 2 * _FIELD for match in pattern.finditer(content)]
    if len(found) != 1 or ctypes.sizeof(ctypes.c_size_t) != _FIELD:
        return KeptBlocks(_BLOCKS)
    return KeptBlocks(_BLOCKS, ctypes.c_size_t.from_address(found[0]))


def _writable_data() -> list[tuple[int, int]]:
    """The parts of the C library's file that are mapped to be written."""
    parts = []
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            addresses, rights, _, _, _, *path = line.split(maxsplit=5)
            if rights.startswith("rw") and path and os.path.basename(path[0].strip()) == "libc.so.6":
                start, end = (int(address, 16) for address in addresses.split("-"))
                parts.append((start, end))
    return parts
