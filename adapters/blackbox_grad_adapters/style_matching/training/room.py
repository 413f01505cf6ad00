"""Room on the disk for a training."""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from blackbox_grad.errors import AudioError


def check_room(wanted: Sequence[tuple[Path, float]]) -> None:
    """Raise `AudioError` if a disk has no room for the bytes that its folders take. Pairs that a cache has already count too."""
    disks: defaultdict[int, list[tuple[Path, float]]] = defaultdict(list)
    for folder, size in wanted:
        there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
        disks[os.stat(there).st_dev].append((there, size))
    for places in disks.values():
        free, size = shutil.disk_usage(places[0][0]).free, sum(size for _, size in places)
        if size > free:
            raise AudioError(
                f"the run takes {size / 1e9:.1f} GB on the disk of {places[-1][0]}, and {free / 1e9:.1f} GB are free; make room, "
                "take fewer pairs (--pairs N), or put the cache elsewhere (XDG_CACHE_HOME=FOLDER before the command)"
            )
