"""Progress of long work on stderr: lines, in a log as on a terminal, with the time that is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from blackbox_grad.cli import err

if TYPE_CHECKING:
    from blackbox_grad_adapters.style_matching.training.remaining import Remaining


class Report:
    """A line for every unit of a work in phases: which one, how far, how long it still takes, and figures of it.

    Args:
        remaining: of the whole work; None if it is not known.
    """

    def __init__(self, remaining: Remaining | None = None) -> None:
        self._remaining = remaining

    def __call__(self, phase: str, done: int, figures: str = "") -> None:
        from blackbox_grad_adapters.style_matching.training.remaining import in_words

        left = self._remaining.after(phase, done) if self._remaining else None
        total = self._remaining.units(phase) if self._remaining else 0
        words = f"{phase} {done}/{total or '?'}"
        if left:
            words += f", {in_words(left)} left"
        err().print(words + (f": {figures}" if figures else ""), soft_wrap=True)


def telling(what: str) -> Callable[[int, int], None]:
    """A function to call with the number done and the total: prints the first, every fourth part, and the last."""

    def report(done: int, total: int) -> None:
        if done in (1, total) or done % max(1, total // 4) == 0:
            err().print(f"{done}/{total} {what}")

    return report


#: For the decoding of recordings, which happens once.
decoding = telling("recordings decoded")
