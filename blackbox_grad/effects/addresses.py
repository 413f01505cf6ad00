"""Backends by name, and the addresses of effects.

A third party registers a backend in its `pyproject.toml`, without touching the core:

    [project.entry-points."blackbox_grad.backends"]
    mine = "my_package:MyBackend"
"""

from __future__ import annotations

import difflib
import functools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from blackbox_grad.cache import digest
from blackbox_grad.dependencies import entry_points_of, missing_dependency
from blackbox_grad.effects.protocols import Backend
from blackbox_grad.errors import AddressError, BlackboxGradError, MissingDependencyError, suggest

BACKENDS = "blackbox_grad.backends"


def backend_names() -> list[str]:
    """Names of all registered backends, also of those whose library is not installed."""
    return sorted(entry_points_of(BACKENDS))


@functools.cache
def backend(name: str) -> Backend:
    """The backend of this name. Raises `AddressError` if it is unknown."""
    entries = entry_points_of(BACKENDS)
    if name not in entries:
        raise AddressError(f"no backend {name!r}; {suggest(name, sorted(entries))}")
    try:
        found = entries[name].load()
        if not (
            isinstance(found, type) and all(callable(getattr(found, method, None)) for method in ("open", "claims", "scan"))
        ):
            raise AddressError(f"the entry point {name!r} of {BACKENDS} is not a backend: a class with open, claims and scan")
        return cast("Backend", found())
    except ImportError as error:
        raise missing_dependency(error, f"backend {name!r}") from error


def backends() -> Iterator[tuple[str, Backend]]:
    """All backends that can be imported, by name."""
    for name in backend_names():
        try:
            yield name, backend(name)
        except MissingDependencyError:
            continue


def resolve_address(address: str) -> str:
    """`backend:locator` from an address, a bare path, an LV2 URI or the name of an installed effect, in any case.

    A name is that of a file ("ZamTube"), of a library's own effect ("Reverb"), or else of an installed effect ("MDA Overdrive", or
    the end of its URI, "Overdrive"), if only one has it.
    """
    address = address.strip()
    if not address:
        raise AddressError("an empty address; write backend:effect, such as pedalboard-builtin:Reverb")
    prefix, colon, locator = address.partition(":")
    if colon and prefix in entry_points_of(BACKENDS):
        if not locator.strip():
            raise AddressError(f"{address!r} names no effect; `blackbox-grad effects` lists what is installed")
        return _by_its_locator(prefix, locator) or address
    claims = sorted(((b.claims(address), name) for name, b in backends()), reverse=True)
    if claims and claims[0][0] > 0:
        return f"{claims[0][1]}:{address}"
    looks_like_prefix = colon and len(prefix) > 1 and os.sep not in prefix and "//" not in locator[:2]
    if looks_like_prefix:
        raise AddressError(f"{address!r}: no backend {prefix!r}; {suggest(prefix, backend_names())}")
    listings = list(catalogue())
    called = [listing.address for listing in listings if address.casefold() in map(str.casefold, listing.names)]
    if len(called) == 1:
        return called[0]
    if called:
        raise AddressError(f"{address!r} is the name of {len(called)} installed effects; write {' or '.join(called)}")
    raise AddressError(
        f"no installed effect is called {address!r}; {_alike(address, listings)}`blackbox-grad effects WORD` searches, and any "
        f"effect or instrument can be written as backend:effect with one of {', '.join(backend_names())}{_without()}"
    )


def _without() -> str:
    """Which backends cannot list their effects, as their library is not installed."""
    missing = []
    for name in backend_names():
        try:
            next(iter(listings_of(name)), None)
        except MissingDependencyError as error:
            missing.append(str(error))
        except Exception:
            continue
    return "".join(f". {text}" for text in dict.fromkeys(missing))


def _by_its_locator(name: str, text: str) -> str:
    """The address if `text` is the name, and not the locator, of just one effect of the backend `name`: "dawdreamer:Overdrive".

    Only backends with a `catalogue` are asked, which costs little.
    """
    if re.search(r"[/\\.:|\s]", text) or not hasattr(found := backend(name), "catalogue") or found.claims(text) > 0:
        return ""
    listings = list(catalogue(name))
    called = [listing.address for listing in listings if text.casefold() in map(str.casefold, listing.names)]
    return called[0] if len(called) == 1 else ""


def _alike(name: str, listings: list[Listing]) -> str:
    """ "did you mean …? " with the addresses of the effects with the nearest names; empty if none is near."""
    addresses: dict[str, list[str]] = {}
    for listing in listings:
        for known in listing.names:
            addresses.setdefault(known.casefold(), []).append(listing.address)
    close = difflib.get_close_matches(name.casefold(), addresses, n=3, cutoff=0.6)
    meant = list(dict.fromkeys(address for known in close for address in sorted(addresses[known], key=len)))[:3]
    if meant:
        return f"did you mean {' or '.join(meant)}? "
    inside = sum(any(name.casefold() in known.casefold() for known in (listing.address, listing.name)) for listing in listings)
    return f"{inside} have it in their name or address: `blackbox-grad effects {name}` lists them; " if inside else ""


@dataclass(frozen=True)
class Listing:
    """An installed effect that was not opened.

    Attributes:
        backend, locator: its address is `backend:locator`.
        name: its own name, as far as its files tell.
        maker: who made it, as far as its files tell; "" otherwise.
        takes: what goes in, as far as its files tell: "audio", or "notes" for an instrument; "" otherwise.
    """

    backend: str
    locator: str
    name: str
    maker: str = ""
    takes: str = ""

    @property
    def address(self) -> str:
        return f"{self.backend}:{self.locator}"

    @property
    def names(self) -> tuple[str, ...]:
        """All names that find it."""
        return (self.name, self.locator, end_of(self.locator))


def end_of(locator: str) -> str:
    """The last part of a path or URI, without the suffix of a file: "Overdrive", "ZamTube"."""
    return re.sub(
        r"\.(vst3|vst|so|dll|component|dsp)$", "", re.split(r"[/#:\\]", locator.rstrip("/#:"))[-1], flags=re.IGNORECASE
    )


def catalogue(only: str | None = None) -> Iterator[Listing]:
    """What is installed, by backend. A backend that cannot list its effects is left out."""
    for name in backend_names() if only is None else [only]:
        try:
            yield from listings_of(name)
        except Exception:  # a third party's backend must not hide the others
            continue


def listings_of(name: str) -> Iterator[Listing]:
    """The installed effects of one backend."""
    found = backend(name)
    named = getattr(found, "catalogue", None)
    rows = ((locator, end_of(locator)) for locator in found.scan()) if named is None else named()
    try:
        yield from (Listing(name, *row) for row in rows)
    except ImportError as error:
        raise missing_dependency(error, f"backend {name!r}") from error


def locator_path(name: str, locator: str) -> str | None:
    """The beginning of a locator that the backend of this name reads as a path; None if it reads it as a name.

    A backend may offer `path(locator) -> str | None`. Without it, no locator is a path.
    """
    find = getattr(_optional_backend(name), "path", None)
    found: str | None = None if find is None else find(locator)
    return found


def path_options(name: str) -> tuple[str, ...]:
    """The options of a backend whose text is the path of a file. A backend may list them in `path_options`."""
    listed: tuple[str, ...] = getattr(_optional_backend(name), "path_options", ())
    return listed


def _optional_backend(name: str) -> Backend | None:
    try:
        return backend(name)
    except BlackboxGradError:
        return None


def file_stamp(address: str) -> str:
    """Changes whenever the file of the effect `backend:locator` does; empty if the effect has no file.

    A backend may offer `file(locator) -> Path | None`. Without it, the path in the locator is the file.
    """
    from importlib.metadata import version

    name, _, locator = address.partition(":")
    try:
        find = getattr(backend(name), "file", None)
        path = Path(locator_path(name, locator) or "") if find is None else find(locator)
        if path is None or path == Path() or not path.exists():
            return ""
        files = [path, *sorted(p for p in path.rglob("*") if p.is_file())] if path.is_dir() else [path]
        seen = [(str(p), (status := p.stat()).st_mtime_ns, status.st_size) for p in files]
    except (OSError, BlackboxGradError):
        return ""
    return digest(repr((version("blackbox-grad"), seen)))
