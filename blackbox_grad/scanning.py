"""Which effects are installed, and which of them open.

Listing opens nothing. Checking opens each effect in a host process with a time limit, so one that crashes, hangs or floods its
output costs that time and nothing else; what was found is remembered until the plug-in's file changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from blackbox_grad.audio_files import replacing
from blackbox_grad.effects import EffectSpec
from blackbox_grad.errors import AudioError, BlackboxGradError, MissingDependencyError
from blackbox_grad.hosts.process_pool import ProcessPool
from blackbox_grad.registry import backend as find_backend
from blackbox_grad.registry import backend_names

#: Characters of a reason; what a plug-in printed last may be part of it.
_LONGEST_REASON = 600


@dataclass(frozen=True)
class Scanned:
    """One effect, or one backend that cannot be used.

    Attributes:
        address: `backend:locator`.
        backend: its name.
        status: "listed" (not opened), "ok", "failed", or "unavailable": the backend's library is not installed.
        name: what the effect calls itself, once it was opened.
        parameters: how many it has, once it was opened.
        reason: why it failed.
    """

    address: str
    backend: str
    status: Literal["listed", "ok", "failed", "unavailable"]
    name: str = ""
    parameters: int | None = None
    reason: str = ""


def scan(
    check: bool = False, time_limit: float = 20.0, *, rescan: bool = False, backend: str | None = None
) -> Iterator[Scanned]:
    """The installed effects, by backend, as they are found.

    Args:
        check: open each one.
        time_limit: seconds for opening one. One that crashes or exceeds it is tried once more before it counts as failed.
        rescan: check again what is remembered.
        backend: only this one.
    """
    listed = _listed(backend)
    return _checked(listed, time_limit, rescan) if check else listed


def _listed(only: str | None) -> Iterator[Scanned]:
    for name in backend_names() if only is None else [only]:
        try:
            for locator in find_backend(name).scan():
                yield Scanned(f"{name}:{locator}", name, "listed")
        except MissingDependencyError as error:
            yield Scanned(f"{name}:", name, "unavailable", reason=str(error))
        except Exception as error:  # a backend of a third party must not hide the others
            yield Scanned(f"{name}:", name, "unavailable", reason=f"{type(error).__name__}: {error}")


def _checked(listed: Iterator[Scanned], time_limit: float, rescan: bool) -> Iterator[Scanned]:
    pool = ProcessPool(open_limit=time_limit)
    executor = ThreadPoolExecutor(pool.hosts, thread_name_prefix="scan")
    remembered = _Memory()

    def check(effect: Scanned) -> Scanned:
        stamp = _stamp(effect)
        known = None if rescan else remembered.get(effect, stamp)
        if known is not None or effect.status == "unavailable":
            return known or effect
        try:
            info = pool.open(EffectSpec(effect.address, parameters="all"))
        except BlackboxGradError as error:
            found = replace(effect, status="failed", reason=str(error)[:_LONGEST_REASON])
        else:
            found = replace(effect, status="ok", name=info.name, parameters=len(info.parameters))
        if not pool.closed:  # what fails because the scan was given up says nothing
            remembered.put(found, stamp)
        return found

    try:
        yield from executor.map(check, listed)
    finally:
        pool.close()
        executor.shutdown(wait=True, cancel_futures=True)


def _stamp(effect: Scanned) -> str:
    """Changes whenever the effect's file does; empty if it has none, and then nothing is remembered.

    A backend may offer `file(locator) -> Path | None`. Without it, locators that are paths are files.
    """
    locator = effect.address.partition(":")[2]
    try:
        find = getattr(find_backend(effect.backend), "file", None)
        path = Path(locator) if find is None else find(locator)
        if path is None or not path.exists():
            return ""
        files = [path, *sorted(p for p in path.rglob("*") if p.is_file())] if path.is_dir() else [path]
        seen = [(str(p), (status := p.stat()).st_mtime_ns, status.st_size) for p in files]
    except (OSError, BlackboxGradError):
        return ""
    return hashlib.sha256(repr((version("blackbox-grad"), seen)).encode()).hexdigest()[:32]


class _Memory:
    """Results of checks, one small JSON file each in the user's cache folder. Several processes may share it."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        with contextlib.suppress(ImportError):
            from platformdirs import user_cache_path

            self._folder = user_cache_path("blackbox-grad", appauthor=False) / "scans"

    def get(self, effect: Scanned, stamp: str) -> Scanned | None:
        try:
            data: dict[str, Any] = json.loads(self._file(effect).read_text("utf-8"))
            return Scanned(**data["found"]) if stamp and data["stamp"] == stamp else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, found: Scanned, stamp: str) -> None:
        if not stamp:
            return
        with contextlib.suppress(OSError, AudioError):  # no cache is no error
            file = self._file(found)
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as temporary:
                temporary.write_text(json.dumps({"stamp": stamp, "found": asdict(found)}), encoding="utf-8")

    def _file(self, effect: Scanned) -> Path:
        if self._folder is None:
            raise OSError("no cache folder: platformdirs is not installed")
        return self._folder / f"{hashlib.sha256(os.fsencode(effect.address)).hexdigest()[:32]}.json"
