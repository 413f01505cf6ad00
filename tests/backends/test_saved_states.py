"""Presets and states whose formats are broken are refused before a plug-in gets them."""

from __future__ import annotations

import struct

import pytest

from blackbox_grad.errors import EffectLoadError
from blackbox_grad_backends.native.saved_states import refuse_damaged

TEXT = b'<?xml version="1.0"?><VST3PluginState><IComponent>4.ABCDEF</IComponent></VST3PluginState>\0'
STATE = b"VC2!" + struct.pack("<I", len(TEXT) - 1) + TEXT


def vst3(part: bytes = b"what the plug-in writes") -> bytes:
    entries = struct.pack("<4sqq4sqq", b"Comp", 48, len(part), b"Cont", 48 + len(part), 0)
    return (
        struct.pack("<4si32sq", b"VST3", 1, b"2046504473616C634C444D5A00000000", 48 + len(part))
        + part
        + b"List\2\0\0\0"
        + entries
    )


def vst2(kind: bytes, identity: bytes = b"ZMDL") -> bytes:
    """A program or a bank, with two values, one program, or a part of 9 bytes."""
    bank = kind in (b"FxBk", b"FBCh")
    inner = {b"FxCk": bytes(8), b"FxBk": vst2(b"FxCk") if bank else b""}.get(kind, struct.pack(">I", 9) + b"anything.")
    count = 1 if kind == b"FxBk" else 2
    body = struct.pack(">4sI4sII", kind, 1, identity, 1, count) + bytes(128 if bank else 28) + inner
    return struct.pack(">4sI", b"CcnK", len(body)) + body


#: content, the plug-in's own state, suffix, and the bytes that every flipped bit of makes it another format.
CASES = {
    "vstpreset": (vst3(), b"", ".vstpreset", [*range(8), *range(40, 48), *range(71, 99)]),
    "fxp of values": (vst2(b"FxCk"), vst2(b"FxBk"), ".fxp", [*range(4), *range(16, 20)]),
    "fxp of a part": (vst2(b"FPCh"), vst2(b"FxBk"), ".fxp", [*range(4), *range(16, 20)]),
    "state of values": (vst2(b"FxBk"), vst2(b"FxBk"), "", [*range(4), *range(16, 20)]),
    "state of a part": (vst2(b"FBCh"), vst2(b"FBCh"), "", [*range(4), *range(16, 20)]),
    "state of a VST3": (STATE, STATE, "", [*range(4), *range(5, 8)]),
}


@pytest.mark.parametrize(("content", "own", "suffix", "marks"), CASES.values(), ids=CASES)
def test_a_broken_format_is_refused(content: bytes, own: bytes, suffix: str, marks: list[int]) -> None:
    refuse_damaged("x", content, own, suffix)
    broken = [content[:length] for length in range(len(content) - 1)]
    broken += [content[:i] + bytes([content[i] ^ 1 << bit]) + content[i + 1 :] for i in marks for bit in range(8)]
    for one in broken:
        with pytest.raises(EffectLoadError, match=r"^x .*; save it again from this plug-in$"):
            refuse_damaged("x", one, own, suffix)


def test_lengths_that_some_programs_do_not_write_are_not_missed() -> None:
    content = vst2(b"FxCk")
    refuse_damaged("x", content[:4] + bytes(4) + content[8:], content, ".fxp")


def test_what_is_of_a_format_of_its_own_passes() -> None:
    refuse_damaged("x", b"bplist00", b"bplist00", "")
