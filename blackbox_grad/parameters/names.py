"""Parameters found by their names: in any spelling, by patterns, with the nearest name where there is none."""

from __future__ import annotations

import contextlib
import fnmatch
import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from blackbox_grad.errors import ParameterError, suggest


def plain_name(name: str) -> str:
    """Without case, spaces, dashes and underscores, which do not matter if the name is unambiguous: "Room size" is `room_size`."""
    return re.sub(r"[\s_-]+", "", unicodedata.normalize("NFKC", name).casefold())


def find_name(name: str, names: Sequence[str]) -> int:
    if not isinstance(name, str):
        raise ParameterError(f"a parameter's name is text, got {name!r}; there are: {', '.join(names)}")
    if name in names:
        return names.index(name)
    alike = [i for i, known in enumerate(names) if plain_name(known) == plain_name(name)]
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise ParameterError(f"{name!r} may be {' or '.join(repr(names[i]) for i in alike)}; write one of them exactly")
    raise ParameterError(f"no parameter {name!r}; {suggest(name, names)}")


def find_names(wanted: Iterable[str], names: Sequence[str], passed_over: Collection[int] = ()) -> list[int]:
    """Names and patterns of names, in their order. What a pattern matches too is found once.

    In a pattern, `*` stands for any text, `?` for one character, and `[12]` for one of these. Spaces separate words there: "* 3"
    matches "Gain 3" and not "Gain 13".

    Args:
        wanted: names and patterns.
        names: of all parameters.
        passed_over: those that no pattern finds.
    """
    wanted = list(wanted)
    plain = {plain_name(name) for name in names}
    patterns = [t for t in wanted if isinstance(t, str) and _WILDCARD.search(t) and plain_name(t) not in plain]
    exact = {find_name(text, names) for text in wanted if text not in patterns}
    found: list[int] = []
    for text in wanted:
        if text not in patterns:
            found.append(find_name(text, names))
            continue
        alike = [i for i, name in enumerate(names) if fnmatch.fnmatchcase(_words(name), _words(text))]
        if not alike:
            raise ParameterError(f"no parameter matches {text!r}; {suggest(_WILDCARD.sub('', text).strip(), names)}")
        if not (free := [i for i in alike if i not in passed_over]):
            shown = ", ".join(names[i] for i in alike[:_SHOWN]) + (", …" if len(alike) > _SHOWN else "")
            raise ParameterError(
                f"{text!r} matches only parameters that are fixed, or held unless named exactly: {shown}; change the pattern"
            )
        found += [i for i in free if i not in found and i not in exact]
    return found


_WILDCARD = re.compile(r"[*?]|\[[^]]+\]")

#: Names in a message.
_SHOWN = 4


def _words(name: str) -> str:
    """In one spelling: capital letters, and spaces or underscores between words, do not matter."""
    return re.sub(r"[\s_]+", " ", unicodedata.normalize("NFKC", name).casefold())


def find_fixed(name: str, value: Any, names: Sequence[str]) -> tuple[int, Any]:
    """The parameter, and its value. Of "Mode=A=B", which is split at its last "=", the value may be "A=B"."""
    try:
        return find_name(name, names), value
    except ParameterError:
        head, equals, tail = name.partition("=") if isinstance(name, str) else (name, "", "")
        if not (equals and isinstance(value, str)):
            raise
        with contextlib.suppress(ParameterError):
            return find_name(head.strip(), names), f"{tail.strip()}={value}"
        raise
