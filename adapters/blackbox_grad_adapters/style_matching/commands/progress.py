"""What long work says on stderr where there is no bar."""

from __future__ import annotations

from collections.abc import Callable

from blackbox_grad.cli import err


def telling(what: str) -> Callable[[int, int], None]:
    """What is called with how many there are by now, and of how many: prints the first, every fourth part, and the last."""

    def tell(done: int, total: int) -> None:
        if done in (1, total) or done % max(1, total // 4) == 0:
            err().print(f"{done}/{total} {what}")

    return tell


#: While recordings are decoded, which happens once.
decoding = telling("recordings decoded")
