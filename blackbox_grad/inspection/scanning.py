"""Which effects and instruments are installed, and which of them open.

Listing opens nothing. Checking opens each effect in a host process with a time limit: an effect that crashes, hangs or floods its
output costs only that time. Results are cached until the plug-in's file changes.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Literal

from blackbox_grad.cache import JsonCache
from blackbox_grad.effects.addresses import backend_names, file_stamp, listings_of
from blackbox_grad.effects.first_look import unlooked
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.errors import BlackboxGradError, HostError, MissingDependencyError, RenderTimeoutError
from blackbox_grad.hosts.default import opened_host
from blackbox_grad.hosts.protocol import Host

#: Most characters of a reason, which may contain a plug-in's last output.
_LONGEST_REASON = 600

#: Failures that may be the machine's: it is busy, has no memory left, or lacks a library today. A scan forgets them.
_TRANSIENT = (HostError, MissingDependencyError, RenderTimeoutError)


@dataclass(frozen=True)
class Scanned:
    """One effect, or one backend that cannot be used.

    Attributes:
        address: `backend:locator`.
        backend: its name.
        status: "listed" (not opened), "ok", "failed", or "unavailable": the backend's library is not installed.
        name: the effect's own name, as the effect tells it if it was opened, and its files otherwise.
        parameters: their number, if it was opened.
        reason: why it failed.
        maker: who made it, as far as its files tell.
        takes: what goes in, as the effect or its files tell it: "audio", or "notes" for an instrument; "" where neither tells.
    """

    address: str
    backend: str
    status: Literal["listed", "ok", "failed", "unavailable"]
    name: str = ""
    parameters: int | None = None
    reason: str = ""
    maker: str = ""
    takes: str = ""


def scan(
    check: bool = False,
    time_limit: float = 20.0,
    *,
    rescan: bool = False,
    backend: str | None = None,
    host: str | Host | None = None,
    word: str = "",
) -> Iterator[Scanned]:
    """The installed effects and instruments, by backend, each as soon as it is found.

    Args:
        check: open each one.
        time_limit: seconds for opening one. An effect that crashes or exceeds it is tried once more before it counts as failed.
        rescan: check again instead of reading the cache.
        backend: only this one.
        host: where to open them; by default its own process pool, or the host that `BLACKBOX_GRAD_HOST` describes.
            Other hosts than the pool have their own time limits, and `in-process` does not survive a crash.
        word: only those with all words of this text in their address, name or maker, in any case; "instrument" finds instruments.
    """
    listed = (row for row in _listed(backend) if row.status == "unavailable" or _matches(row, word))
    return _checked(listed, time_limit, rescan, host) if check else listed


def _listed(only: str | None) -> Iterator[Scanned]:
    for name in backend_names() if only is None else [only]:
        try:
            for listing in listings_of(name):
                yield Scanned(listing.address, name, "listed", listing.name, maker=listing.maker, takes=listing.takes)
        except MissingDependencyError as error:
            yield Scanned(f"{name}:", name, "unavailable", reason=str(error))
        except Exception as error:  # a third party's backend must not hide the others
            yield Scanned(f"{name}:", name, "unavailable", reason=f"{type(error).__name__}: {error}")


def _matches(row: Scanned, text: str) -> bool:
    kind = "instrument" if row.takes == "notes" else ""
    known = f"{row.address} {row.name} {row.maker} {kind}".casefold()
    return all(word in known for word in text.casefold().split())


def _checked(listed: Iterator[Scanned], time_limit: float, rescan: bool, host: str | Host | None) -> Iterator[Scanned]:
    holding = contextlib.ExitStack()
    opening = holding.enter_context(opened_host(host, open_limit=time_limit))
    executor = ThreadPoolExecutor(getattr(opening, "hosts", 1), thread_name_prefix="scan")
    remembered = JsonCache("scans")
    ended = threading.Event()

    def check(effect: Scanned) -> Scanned:
        stamp = file_stamp(effect.address)
        known = remembered.get(effect.address, stamp) if stamp and not rescan else None
        with contextlib.suppress(TypeError):  # an entry of other fields
            if known is not None or effect.status == "unavailable":
                return replace(Scanned(**known), takes=known.get("takes") or effect.takes) if known else effect
        lasting = True
        try:
            info = opening.open(unlooked(EffectSpec(effect.address, parameters="all")))
        except BlackboxGradError as error:
            lasting = not isinstance(error, _TRANSIENT)
            found = replace(effect, status="failed", reason=str(error)[:_LONGEST_REASON])
        else:
            found = replace(effect, status="ok", name=info.name, parameters=len(info.parameters), takes=info.takes)
        if stamp and lasting and not ended.is_set():  # a failure says nothing if the scan was stopped
            remembered.put(effect.address, stamp, asdict(found))
        return found

    try:
        yield from executor.map(check, listed)
    finally:
        ended.set()
        holding.close()
        executor.shutdown(wait=True, cancel_futures=True)
