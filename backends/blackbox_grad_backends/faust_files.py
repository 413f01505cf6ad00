"""What a Faust program reads: found before it is compiled.

The compiler reads any file that a program names in `import`, `library`, `component` and `soundfile`, and fetches URLs. A program
may come from anywhere, as a line of text in a file of settings. So it reads the standard libraries that DawDreamer brings, and a
`.dsp` file also files of its own folder; more only if the user allows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from blackbox_grad.errors import EffectLoadError
from blackbox_grad.files import text_of

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n]*|/\*.*?\*/|\w+|\S', re.DOTALL)

_READING = ("import", "library", "component", "soundfile")


def check_files(address: str, source: str, folder: Path | None) -> None:
    """Raise `EffectLoadError` if the program reads what it may not.

    Args:
        address: for the message.
        source: of the program.
        folder: of its file; None for a program that is given as text.
    """
    import dawdreamer

    libraries = Path(dawdreamer.__file__).parent / "faustlibraries"
    seen: set[Path] = set()
    waiting = [source]
    while waiting:
        for word, name in _reads(waiting.pop()):
            place = next((f for f in (folder, libraries) if f and word != "soundfile" and _is_inside(f, name)), None)
            if place is None:
                raise EffectLoadError(
                    f"{address}: {word}({name!r}) is not read: a program reads the standard libraries, and files beside its own; "
                    "give files=True if you trust it"
                )
            if place == folder and (file := (place / name).resolve()) not in seen:
                seen.add(file)
                waiting.append(text_of(file))


def _is_inside(folder: Path, name: str) -> bool:
    file = (folder / name).resolve()
    return file.is_relative_to(folder.resolve()) and file.is_file()


def _reads(source: str) -> Iterator[tuple[str, str]]:
    """The words that read a file, and its name.

    >>> list(_reads('import("stdfaust.lib"); // import("no")'))
    [('import', 'stdfaust.lib')]
    """
    tokens = [t for t in _TOKEN.findall(source) if not t.startswith(("//", "/*"))]
    for word, bracket, name in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if word in _READING and bracket == "(":
            yield word, name.strip('"')
