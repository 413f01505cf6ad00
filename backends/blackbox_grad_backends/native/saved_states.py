"""Presets and states of plug-ins: what their formats say about themselves, checked before a host library gets them.

- `.vstpreset` (VST3): a header with the place of a list, and the list with the places of the parts.
- `.fxp` and `.fxb` (VST2; big endian): a header with a length, an identity and a count, and values or one opaque part.
- the state of a VST3 in JUCE, on which both host libraries are built: a length, and XML with lengths.

What a plug-in writes into an opaque part has no check: a flipped bit there cannot be known.
"""

from __future__ import annotations

import re
import struct

from blackbox_grad.errors import EffectLoadError

_PRESET, _PROGRAM, _STATE = b"VST3", b"CcnK", b"VC2!"

#: Sizes of a preset's header, of the head of its list, and of an entry there.
_HEADER, _HEAD, _ENTRY = 48, 8, 20

#: The part that every .vstpreset has: the state of the processor.
_COMPONENT = b"Comp"

#: A program's header with its name, and a bank's header.
_PROGRAM_HEADER, _BANK_HEADER = 56, 156

#: Where the identity of the plug-in is.
_IDENTITY = slice(16, 20)

#: Of a state: its length in bytes, and as many characters with 6 bits each as these need.
_ENCODED = re.compile(rb">(\d{1,12})\.([.A-Za-z0-9+]*)<")


def refuse_damaged(what: str, content: bytes, own: bytes, suffix: str) -> None:
    """Raise `EffectLoadError` if a preset or a state is not as its format has it, or of another plug-in.

    Args:
        what: the beginning of the sentence.
        own: a state that the plug-in has just given to the same host library.
        suffix: of a preset, `.vstpreset` or `.fxp`; empty for a state.
    """
    kind = own[:4]
    if suffix.lower() == ".vstpreset":
        wrong = _of_vst3_preset(content)
    elif suffix.lower() == ".fxp":
        wrong = _of_program(content, banks=False) or _of_another(content, own)
    elif suffix or kind not in (_STATE, _PROGRAM):
        return
    elif content[:4] != kind:
        wrong = f"does not begin as a state of this plug-in does ({content[:4]!r}, not {kind!r})"
    else:
        wrong = _of_state(content) if kind == _STATE else _of_program(content, banks=True) or _of_another(content, own)
    if wrong:
        raise EffectLoadError(f"{what} {wrong}; save it again from this plug-in")


def _of_another(content: bytes, own: bytes) -> str:
    if own[:4] != _PROGRAM or content[_IDENTITY] == own[_IDENTITY]:
        return ""
    return f"is of another plug-in ({content[_IDENTITY]!r}, not {own[_IDENTITY]!r})"


def _of_vst3_preset(content: bytes) -> str:
    if len(content) < _HEADER:
        return f"has {len(content)} bytes, and a .vstpreset at least {_HEADER}"
    magic, version, identity, start = struct.unpack_from("<4si32sq", content)
    if magic != _PRESET:
        return f"begins with {magic!r}, and a .vstpreset with {_PRESET!r}"
    if version != 1 or not re.fullmatch(rb"[0-9A-Fa-f]{32}", identity):
        return f"has the version {version} and the class {identity!r}; a .vstpreset has the version 1 and 32 hexadecimal digits"
    if not _HEADER <= start <= len(content) - _HEAD or content[start : start + 4] != b"List":
        return f"is cut off or damaged: its list should be at byte {start} of {len(content)}"
    (count,) = struct.unpack_from("<i", content, start + 4)
    if not 0 < count <= (len(content) - start - _HEAD) // _ENTRY:
        return f"is cut off or damaged: its list should have {count} entries"
    parts = [struct.unpack_from("<4sqq", content, start + _HEAD + _ENTRY * i) for i in range(count)]
    if _COMPONENT not in [name for name, _, _ in parts]:
        return f"is damaged: it has no part {_COMPONENT!r}"
    taken = sorted([(begin, size, name) for name, begin, size in parts if size] + [(start, _HEAD + _ENTRY * count, b"List")])
    free = _HEADER
    for begin, size, name in taken:
        if size < 0 or begin != free or begin > len(content) - size:  # one after another, as all hosts write them
            return f"is cut off or damaged: its part {name!r} should be {size} bytes at byte {begin} of {len(content)}"
        free = begin + size
    return ""


def _of_program(content: bytes, banks: bool) -> str:
    """Of an .fxp; with `banks`, or of an .fxb."""
    what = "an .fxp or .fxb" if banks else "an .fxp"
    if len(content) < _PROGRAM_HEADER or content[:4] != _PROGRAM:
        return f"is none: {what} begins with {_PROGRAM!r} and has at least {_PROGRAM_HEADER} bytes"
    length, kind, version = struct.unpack_from(">I4sI", content, 4)
    if kind not in ((b"FxCk", b"FPCh", b"FxBk", b"FBCh") if banks else (b"FxCk", b"FPCh")) or version not in (1, 2):
        return f"is damaged or of another kind: it has the mark {kind!r} and the version {version}"
    if length > len(content) - 8:  # some programs write 0
        return f"is cut off: it should have {length + 8} bytes, and has {len(content)}"
    (count,) = struct.unpack_from(">I", content, 24)
    header = _BANK_HEADER if kind in (b"FxBk", b"FBCh") else _PROGRAM_HEADER
    least = {b"FxCk": 4 * count, b"FxBk": _PROGRAM_HEADER * count}.get(kind, 4)
    if len(content) < header + least:
        return f"is cut off or damaged: with {count} entries it has at least {header + least} bytes, not {len(content)}"
    if kind in (b"FPCh", b"FBCh"):
        (size,) = struct.unpack_from(">I", content, header)
        if size > len(content) - header - 4:
            return f"is cut off or damaged: its part should have {size} bytes, and {len(content) - header - 4} are there"
    return ""


def _of_state(content: bytes) -> str:
    if len(content) < 8:
        return "is cut off"
    (length,) = struct.unpack_from("<I", content, 4)
    if not 0 < length <= len(content) - 8:
        return f"is cut off or damaged: its text should have {length} bytes, and {len(content) - 8} are there"
    text = content[8 : 8 + length]
    if not text.rstrip(b"\0 \r\n").endswith(b">"):
        return "is damaged: its text has no end"
    for size, characters in _ENCODED.findall(text):
        if len(characters) != -(-8 * int(size) // 6):
            return f"is damaged: {size.decode()} bytes do not take {len(characters)} characters"
    return ""
