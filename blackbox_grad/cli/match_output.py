"""What `match` and `demo` say: on the way, on stderr, and at the end, on stdout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from blackbox_grad.cli.console import err, out, say, table
from blackbox_grad.cli.curves import print_curves
from blackbox_grad.cli.progress import Shown, progress_bar
from blackbox_grad.matching import sure_words as sure_words
from blackbox_grad.matching import wording as wording

if TYPE_CHECKING:
    from blackbox_grad.interrupts import Interrupt
    from blackbox_grad.matching.result import Match, Progress

#: A table of more rows than this shows those that moved.
_MOST_ROWS = 24

#: A setting has moved if it is this far from its default, normalised.
_MOVED = 0.005


class Search:
    """Runs a search, shows its progress, and knows whether there is something to keep."""

    def __init__(self) -> None:
        self.found = False

    def run(self, first: Callable[[], str], search: Callable[[Callable[[Progress], None]], Match]) -> Match:
        """The result of `search(on_progress)`. `first` gives the first words, once the effect is open."""
        with progress_bar() as show:
            begun = False

            def on_progress(p: Progress) -> None:
                nonlocal begun
                if not begun:
                    err().print(first(), soft_wrap=True)
                    begun = True
                self.found = self.found or math.isfinite(p.best)
                show(Shown(wording.phase(p.phase), p.renders / max(1, p.budget), wording.step(p)))

            return search(on_progress)


def print_match(found: Match, interrupt: Interrupt, truth: Mapping[str, str] | None = None) -> None:
    """Print the settings and the distances. `truth`: name -> the native text of the value that made the target."""
    sure = sure_words.could_be(found)
    columns = ["parameter", "found", *(["could be"] if sure else []), *(["hidden"] if truth else []), "default", "normalised"]
    rows = table(*columns, right=["normalised"], whole=["found", "could be"])
    knots = {p.name for p in found.info.parameters if p.knot is not None}
    if knots:
        print_curves(found.info, found.point)
    free = [row for row in found.settings() if row["free"] and row["name"] not in knots]
    defaults = {p.name: p.default for p in found.info.parameters.everything}
    moved = [row for row in free if abs(row["normalised"] - defaults[row["name"]]) > _MOVED]
    shown = moved if len(free) > _MOST_ROWS else free
    for row in shown:
        hidden = [truth.get(row["name"], "")] if truth else []
        could = [sure.get(row["name"], "")] if sure else []
        rows.add_row(row["name"], row["native"], *could, *hidden, row["default"], f"{row['normalised']:.4f}")
    if free:
        out().print(rows)
    if len(shown) < len(free):
        say(
            (
                f"and {len(free) - len(shown)} that stay at their defaults; --only NAME or PATTERN ('* 3') searches some alone",
                "dim",
            )
        )
    if explained := sure_words.sentence(found):
        say((explained, "dim"))
    if held := wording.held(found):
        say((held, "dim"))
    say("")
    compared = table(
        f"distance to the target ({found.loss_name}; 0 is equal)", "at the defaults", "found", "remain", whole=_NUMBERS
    )
    for what, before, after in wording.distances(found):
        compared.add_row(what, wording.number(before), Text(wording.number(after), "bold green"), wording.remain(before, after))
    compared.add_row(wording.untouched(found), wording.number(found.loss_dry))
    out().print(compared)
    say("")
    stopped = found.finished == "interrupted"
    ended = f"Stopped by {interrupt.name}; these are the best settings so far." if stopped else wording.ended(found)
    say(f"{found.renders} renders in {found.seconds:.1f} s; {wording.method(found)}. ", (ended, "yellow" if stopped else ""))


_NUMBERS = ("at the defaults", "found", "remain")
