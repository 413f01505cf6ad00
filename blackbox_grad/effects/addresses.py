"""Backends by name, and the addresses of effects.

A third party registers a backend in its `pyproject.toml`, without touching the core:

    [project.entry-points."blackbox_grad.backends"]
    mine = "my_package:MyBackend"
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
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
        return cast("Backend", entries[name].load()())
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
    """`backend:locator` from an address, a bare path, an LV2 URI or the name of an installed effect."""
    address = address.strip()
    if not address:
        raise AddressError("an empty address; write backend:effect, such as pedalboard-builtin:Reverb")
    prefix, colon, locator = address.partition(":")
    if colon and prefix in entry_points_of(BACKENDS):
        if not locator.strip():
            raise AddressError(f"{address!r} names no effect; `blackbox-grad effects` lists what is installed")
        return address
    claims = sorted(((b.claims(address), name) for name, b in backends()), reverse=True)
    if claims and claims[0][0] > 0:
        return f"{claims[0][1]}:{address}"
    looks_like_prefix = colon and len(prefix) > 1 and os.sep not in prefix and "//" not in locator[:2]
    if looks_like_prefix:
        raise AddressError(f"{address!r}: no backend {prefix!r}; {suggest(prefix, backend_names())}")
    raise AddressError(
        f"no backend claims {address!r}. Write backend:effect with one of {', '.join(backend_names())}; "
        "`blackbox-grad effects` lists what is installed"
    )


def file_stamp(address: str) -> str:
    """Changes whenever the file of the effect `backend:locator` does; empty if the effect has no file.

    A backend may offer `file(locator) -> Path | None`. Without it, a locator that is a path is the file.
    """
    from importlib.metadata import version

    name, _, locator = address.partition(":")
    try:
        find = getattr(backend(name), "file", None)
        path = Path(locator) if find is None else find(locator)
        if path is None or not path.exists():
            return ""
        files = [path, *sorted(p for p in path.rglob("*") if p.is_file())] if path.is_dir() else [path]
        seen = [(str(p), (status := p.stat()).st_mtime_ns, status.st_size) for p in files]
    except (OSError, BlackboxGradError):
        return ""
    return digest(repr((version("blackbox-grad"), seen)))
