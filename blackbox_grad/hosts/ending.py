"""How host processes end, and whose fault it is."""

from __future__ import annotations

import contextlib
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from blackbox_grad.errors import HostError, RenderError, RenderTimeoutError

#: The pool reports what kills this many hosts, instead of trying it again.
MOST_KILLS = 2

#: Hosts that may fail in a row, without a render between them, though they were neither rendering nor opening.
_MOST_FAILURES = 10

#: Hosts that may be killed from outside in a row, without a render between them: as many, and for as many seconds.
_MOST_DEATHS, _PATIENCE = 20, 300.0


@dataclass(frozen=True)
class End:
    """How a host process ended.

    Attributes:
        code: its exit code; minus the signal that ended it.
        limit: seconds of the limit that applied to what it was doing.
        overdue: whether the pool ended it for exceeding that limit.
        words: what it last printed, as the tail of a message.
    """

    code: int
    limit: float
    overdue: bool
    words: str
    out_of_memory: bool = False

    @property
    def from_outside(self) -> bool:
        """Whether something else than the host's own work ended it."""
        return self.code == -signal.SIGKILL and not self.overdue and not self.out_of_memory

    @property
    def too_slow(self) -> bool:
        return self.overdue or self.code == -signal.SIGALRM

    @property
    def how(self) -> str:
        if self.too_slow:
            return f"exceeded its time limit of {self.limit:g} s"
        if self.out_of_memory:
            return "was ended by the system, which had no memory left,"
        if self.from_outside:
            return "was killed from outside (SIGKILL)"
        if self.code < 0:
            return f"crashed with {_signal_name(-self.code)}"
        return f"ended its host with exit code {self.code}"


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"


class MemoryKills:
    """Notices that the system has ended processes because it had no memory left."""

    def __init__(self) -> None:
        self._seen = self._count()

    def happened(self) -> bool:
        """Since this object was made, or since the last call."""
        before, self._seen = self._seen, self._count()
        return self._seen > before

    def _count(self) -> int:
        with contextlib.suppress(OSError, ValueError), open("/proc/vmstat") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("oom_kill "))
        return 0


class Faults:
    """The dead hosts of one call: who is to blame, and whether it is worth going on.

    A render that kills `MOST_KILLS` hosts is reported, and so is an effect that kills as many while it opens. What is nobody's
    fault (a host is killed from outside, or ends while it waits) has a budget, which every finished render renews.

    Args:
        address: of the effect.
        report: makes the message about a render that kills, from its index and its fate.
    """

    def __init__(self, address: str, report: Callable[[int, str], str]) -> None:
        self._address, self._report = address, report
        self._kills: Counter[int | None] = Counter()
        self.progressed()

    def progressed(self) -> None:
        """A render was finished."""
        self._deaths = self._failures = 0
        self._since = time.monotonic()

    def count(self, end: End, render: int | None, opening: bool) -> None:
        """Raise if the call should not go on.

        Args:
            end: of a host.
            render: the render that it had begun, if any.
            opening: whether it was opening an effect.
        """
        if end.from_outside:
            self._deaths += 1
            if self._deaths >= _MOST_DEATHS and time.monotonic() - self._since > _PATIENCE:
                raise HostError(
                    f"{self._address}: {self._deaths} host processes were killed from outside in a row (SIGKILL), and none could "
                    "finish a render; find out what kills them (the system's log tells if memory ran out), or use fewer hosts "
                    "(BLACKBOX_GRAD_HOSTS=1)"
                )
        elif render is None and not opening:
            self._failures += 1
            if self._failures >= _MOST_FAILURES:
                raise HostError(
                    f"{self._address}: {self._failures} host processes in a row ended before they rendered: the last one "
                    f"{end.how}{end.words}"
                )
        else:
            self._kills[render] += 1
            if self._kills[render] >= MOST_KILLS:
                kind = RenderTimeoutError if end.too_slow else RenderError
                fate = f"{end.how} in {MOST_KILLS} host processes"
                if render is None:
                    raise kind(f"{self._address}: opening it {fate}{end.words}")
                raise kind(f"{self._report(render, fate)}{end.words}")
