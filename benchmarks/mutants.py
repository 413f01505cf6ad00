"""What a mutation run let live, less what is named in mutants.toml with a reason.

It reads what `mutmut run` left in mutants/. It ends with 1 if something lives that has no name.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

NAMED = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True)
class Mutant:
    """One change of one function.

    Attributes:
        name: as mutmut calls it. It ends with a number that changes with the function.
        function: "search.polish.Polish.script".
        before, after: the lines that were changed, and those in their place.
    """

    name: str
    function: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.name}\n  - {self.before}\n  + {self.after}"


def mutmut(*arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def survivors() -> list[Mutant]:
    """Those that tests let live, or that no test reaches."""
    listed = re.findall(r"^\s*(\S+): (?:survived|no tests)$", mutmut("results"), re.MULTILINE)
    return [mutant(name) for name in listed]


def mutant(name: str) -> Mutant:
    changed = [line for line in mutmut("show", name).splitlines() if re.match(r"[-+](?![-+]{2} )", line)]
    before, after = (" ".join(line[1:].strip() for line in changed if line[0] == sign) for sign in "-+")
    function = re.sub(r"\.xǁ(\w+)ǁ", r".\1.", name).replace(".x_", ".")
    return Mutant(name, re.sub(r"^blackbox_grad\.|__mutmut_\d+$", "", function), before, after)


def is_named(found: Mutant, named: list[dict[str, str]]) -> bool:
    """Whether an entry has its function, and a text that is in what it was or in what it became."""
    return any(
        fnmatchcase(found.function, entry["function"]) and (entry["change"] in found.before or entry["change"] in found.after)
        for entry in named
    )


def main() -> int:
    named = tomllib.loads(NAMED.read_text())["named"]
    alive = survivors()
    new = [found for found in alive if not is_named(found, named)]
    print(*new, sep="\n")
    print(f"{len(alive)} mutants live; {len(new)} of them are not named in {NAMED.name}")
    return int(bool(new))


if __name__ == "__main__":
    sys.exit(main())
