"""Folders of preset files: which there are, and which of them are damaged or of another plug-in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from blackbox_grad.effects import StoredPreset
from blackbox_grad.errors import AudioError, EffectLoadError
from blackbox_grad.files import content_of
from blackbox_grad_backends.native.saved_states import refuse_damaged

#: A folder with more files is no folder of presets.
_MOST = 20_000


def files_in(folder: str, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """The files with these suffixes (in lower case), also in the folders in it, by name."""
    seen = 0
    for where, folders, names in os.walk(folder):
        folders.sort()
        seen += len(names)
        if seen > _MOST:
            raise AudioError(f"{folder}: holds more than {_MOST} files; name the folder of the presets")
        yield from (Path(where, name) for name in sorted(names) if name.lower().endswith(suffixes))


def read_all(
    folder: str, suffixes: tuple[str, ...], own: bytes, read: Callable[[Path, bytes], Iterator[StoredPreset]]
) -> Iterator[StoredPreset]:
    """The presets of a folder; of a file that cannot be read, why.

    Args:
        folder: of files with these suffixes.
        own: a state that the plug-in has given.
        read: the presets of a file and its content.
    """
    for path in files_in(folder, suffixes):
        try:
            content = content_of(path)
            suffix = path.suffix.lower()
            refuse_damaged(f"{path}:", content, own, "" if suffix == ".fxb" else suffix)
            yield from read(path, content)
        except (AudioError, EffectLoadError) as error:
            yield StoredPreset("", {}, (str(error),))
