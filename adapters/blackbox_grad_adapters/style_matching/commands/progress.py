"""Progress of long work on stderr, without a bar."""

from __future__ import annotations

from collections.abc import Callable

from blackbox_grad.cli import err


def telling(what: str) -> Callable[[int, int], None]:
    """A function to call with the number done and the total: prints the first, every fourth part, and the last."""

    def report(done: int, total: int) -> None:
        if done in (1, total) or done % max(1, total // 4) == 0:
            err().print(f"{done}/{total} {what}")

    return report


#: For the decoding of recordings, which happens once.
decoding = telling("recordings decoded")
