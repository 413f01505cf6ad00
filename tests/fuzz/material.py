"""What people and accidents put into files and onto command lines, drawn from a generator: the same seed draws the same."""

from __future__ import annotations

import json
import struct
from random import Random
from typing import Any

#: Texts that programs stumble over.
TEXTS = (
    "", " ", "=", "==", ":", "::", "|", " | ", "a|b", "#", "/", "//", "./", "..", "~", "-", "--", "-1", "null", "None",
    "nan", "NaN", "inf", "-inf", "1e999", "9" * 400, "0" * 5000 + "1", "1e-999", "0x10", "1_000", "٣", "½", "∞", "é",
    "e\u0301", "日本語", "🎛", "\u202e", "\udce9", "a\nb", "a\tb", "\x1b[31m", "%s%n", "{0}", "$(id)", "';--", "[" * 2000,
    "(" * 300, "{" * 2000, "a" * 3000, "True", "[]", "{}", "()", "b'x'", "lambda: 1", "1ms", "1 native", "1 normalised",
    "50 %", "-5 dB", "1e400 Hz", "/dev/zero", "/dev/null", "/dev/full", "/proc/self/mem", "/", "/nonexistent/x",
)  # fmt: skip


def text(rng: Random) -> str:
    """An odd text, without a NUL, which no command line can hold."""
    if rng.random() < 0.7:
        return rng.choice(TEXTS)
    return "".join(chr(rng.choice((rng.randrange(1, 128), rng.randrange(160, 0xD800)))) for _ in range(rng.randrange(12)))


def value(rng: Random, depth: int = 3) -> Any:
    """An odd JSON value."""
    kinds = ("text", "number", "constant", "list", "object") if depth else ("text", "number", "constant")
    kind = rng.choice(kinds)
    if kind == "text":
        return text(rng)
    if kind == "number":
        return rng.choice((0, -1, 1.5, 1e300, -1e-300, 2**63, 10**400, float("nan"), float("inf")))
    if kind == "constant":
        return rng.choice((None, True, False))
    if kind == "list":
        return [value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return {text(rng): value(rng, depth - 1) for _ in range(rng.randrange(4))}


def damaged_json(rng: Random, whole: Any) -> str:
    """The text of a JSON value after an accident: a part replaced, removed or nested deeply, or the text itself damaged."""
    accident = rng.choice(("replace", "replace", "replace", "remove", "deep", "text", "other"))
    if accident == "deep":
        depth = rng.choice((50, 1000, 100_000))
        return rng.choice(("[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth, '{"parameters":' + "[" * depth))
    if accident == "other":
        return json.dumps(value(rng))
    changed = json.loads(json.dumps(whole))
    if accident in ("replace", "remove"):
        for _ in range(rng.randrange(1, 3)):
            _change(rng, changed, accident == "remove")
    written = json.dumps(changed)
    if accident == "text":
        return damaged(rng, written.encode()).decode("utf-8", "surrogateescape")
    return written


def _change(rng: Random, whole: Any, remove: bool) -> None:
    place: Any = whole
    while isinstance(place, (dict, list)) and place:
        key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
        inner = place[key]
        if isinstance(inner, (dict, list)) and inner and rng.random() < 0.7:
            place = inner
            continue
        if remove:
            del place[key]
        else:
            place[key] = value(rng)
        return


def damaged(rng: Random, content: bytes) -> bytes:
    """The bytes of a file after an accident: cut off, with other bytes or numbers in its first part, or with a hole."""
    found = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        if not found:
            break
        place = rng.randrange(min(len(found), rng.choice((16, 64, 256, len(found)))))
        accident = rng.choice(("flip", "number", "number", "cut", "hole", "twice"))
        if accident == "flip":
            found[place] ^= 1 << rng.randrange(8)
        elif accident == "number":
            layout = rng.choice(("<I", ">I", "<H", "<Q", "B"))
            size = struct.calcsize(layout)
            number = rng.choice((0, 1, 2 ** (8 * size) - 1, 2 ** (8 * size - 1), rng.randrange(2 ** (8 * size))))
            found[place : place + size] = struct.pack(layout, number)
        elif accident == "cut":
            del found[place:]
        elif accident == "hole":
            del found[place : place + rng.randrange(1, 64)]
        else:
            found[place:place] = found[place : place + rng.randrange(1, 64)]
    return bytes(found)


def damaged_table(rng: Random, table: str) -> str:
    """A CSV after an accident."""
    lines = [line.split(",") for line in table.splitlines()]
    for _ in range(rng.randrange(1, 4)):
        line = rng.choice(lines)
        accident = rng.choice(("cell", "cell", "cell", "remove", "more", "line"))
        if accident == "cell" and line:
            line[rng.randrange(len(line))] = rng.choice(
                (text(rng), "nan", "inf", "-1", "1e400", '"', "\x00", json.dumps(value(rng)))
            )
        elif accident == "remove" and line:
            del line[rng.randrange(len(line))]
        elif accident == "more":
            line.append(text(rng))
        else:
            lines.append(list(line))
    return "\n".join(",".join(line) for line in lines) + "\n"
