"""Programs of VST2 plug-ins in files: `.fxp` holds one, `.fxb` and the state that JUCE saves hold a bank.

All numbers are big endian. A program with the mark `FxCk` has a value in [0, 1] for each parameter; `FPCh`, and the bank `FBCh`,
hold one part that only the plug-in reads.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

HEADER, BANK_HEADER = 56, 156


@dataclass(frozen=True)
class Program:
    """A program with a value of each parameter, in the order of the plug-in."""

    name: str
    values: tuple[float, ...]


def programs(content: bytes) -> Iterator[Program]:
    """Those with values, of a program or a bank that `saved_states.refuse_damaged` has let through; none of an opaque part."""
    kind = content[8:12]
    if kind == b"FxCk":
        yield _program(content, 0)
    elif kind == b"FxBk":
        start = BANK_HEADER
        (count,) = struct.unpack_from(">I", content, 24)
        for _ in range(count):
            if content[start + 8 : start + 12] != b"FxCk" or len(content) < start + HEADER:
                return
            program = _program(content, start)
            yield program
            start += HEADER + 4 * len(program.values)


def _program(content: bytes, start: int) -> Program:
    (count,) = struct.unpack_from(">I", content, start + 24)
    count = min(count, (len(content) - start - HEADER) // 4)
    name = content[start + 28 : start + HEADER].partition(b"\0")[0].decode("utf-8", "replace").strip()
    return Program(name, struct.unpack_from(f">{count}f", content, start + HEADER))
