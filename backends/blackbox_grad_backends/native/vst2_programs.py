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


def program_file(bank: bytes, name: str) -> bytes:
    """An `.fxp` of a bank that JUCE has saved with one program in use: its values, or its opaque part.

    Args:
        bank: an `.fxb`.
        name: for people; as much of it as 27 bytes hold.
    """
    kind, identity, version = bank[8:12], bank[16:20], bank[20:24]
    label = name.encode("utf-8")[:27].decode("utf-8", "ignore").encode("utf-8")
    if kind == b"FxBk":
        found = list(programs(bank))
        (current,) = struct.unpack_from(">I", bank, 28)
        values = found[current if current < len(found) else 0].values
        body = struct.pack(">4sI4s4sI28s", b"FxCk", 1, identity, version, len(values), label)
        body += struct.pack(f">{len(values)}f", *values)
    else:
        (size,) = struct.unpack_from(">I", bank, BANK_HEADER)
        part = bank[BANK_HEADER + 4 : BANK_HEADER + 4 + size]
        (count,) = struct.unpack_from(">I", bank, 24)
        body = struct.pack(">4sI4s4sI28sI", b"FPCh", 1, identity, version, count, label, len(part)) + part
    return struct.pack(">4sI", b"CcnK", len(body)) + body
