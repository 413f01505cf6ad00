"""Cached measurements of effects: small JSON files in the user's cache folder, valid until an effect's file changes."""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import Any

from blackbox_grad.dependencies import library
from blackbox_grad.errors import AudioError, MissingDependencyError
from blackbox_grad.files import replacing


def cache_folder(kind: str) -> Path:
    """The folder of one kind of cached files. Raises `MissingDependencyError` without platformdirs."""
    platformdirs = library("platformdirs", "keeping results between runs")
    folder: Path = platformdirs.user_cache_path("blackbox-grad", appauthor=False) / kind
    return folder


def digest(*content: str | bytes) -> str:
    """32 hexadecimal digits that identify content."""
    found = hashlib.sha256()
    for part in content:
        found.update(part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part)
    return found.hexdigest()[:32]


class JsonCache:
    """Results of one kind, by key. Several processes may share it. Without a cache folder it keeps nothing, and raises nothing."""

    def __init__(self, kind: str) -> None:
        self._folder: Path | None = None
        with contextlib.suppress(MissingDependencyError):
            self._folder = cache_folder(kind)

    def get(self, key: str, stamp: str) -> Any:
        """The entry with this key and stamp; None if there is none, or it cannot be read."""
        try:
            data = json.loads(self._file(key).read_text("utf-8"))
            return data["found"] if data["stamp"] == stamp else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def put(self, key: str, stamp: str, found: Any) -> None:
        """Keep a value that JSON can hold."""
        with contextlib.suppress(OSError, AudioError):
            file = self._file(key)
            file.parent.mkdir(parents=True, exist_ok=True)
            with replacing(file) as temporary:
                temporary.write_text(json.dumps({"stamp": stamp, "found": found}), encoding="utf-8")

    def _file(self, key: str) -> Path:
        if self._folder is None:
            raise OSError("no cache folder: platformdirs is not installed")
        return self._folder / f"{digest(key)}.json"
