"""Headers that say wrongly how long a recording is: nothing, as its recorder died, or more than the file holds."""

from __future__ import annotations

import io
import os
import re
import struct
from collections.abc import Iterator
from typing import BinaryIO

#: In libsndfile's log of a file: the bytes that its header announces, and the bytes that are there if it has noticed.
_ANNOUNCED = re.compile(r"^\s*(?:data|SSND|Data Size|Data size|riff)\s*: (\d+)(?: \(should be (\d+)\))?", re.MULTILINE)

#: More bytes than this mean "unknown" in 32-bit headers, of files that were written into a pipe.
_UNKNOWN, _LARGEST = 0x7FFF0000, 2**32 - 1

#: Bytes of a header, and of the largest page of Ogg.
_HEADER, _PAGE = 200, 65307


class InMemory(io.BytesIO):
    """The content of a file. It stays where it is when a damaged header sends libsndfile to a place that no file has."""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        try:
            return super().seek(offset, whence)
        except (ValueError, OverflowError):
            return self.tell()


def mended(file: BinaryIO) -> InMemory | None:
    """A copy whose header announces all that follows it, where libsndfile would read nothing: a length of 0, or one that is
    unknown or too large in CAF. None if the header says anything else. `file` is at its beginning afterwards."""
    try:
        patch = _patch(file)
        if patch is None:
            return None
        file.seek(0)
        copy = InMemory(file.read())
        copy.seek(patch[0])
        copy.write(patch[1])
        copy.seek(0)
        return copy
    except (struct.error, OSError, ValueError, OverflowError):  # a length beyond all files
        return None
    finally:
        file.seek(0)


def held(log: str, size: int) -> float:
    """The share of the announced audio that a file of `size` bytes holds; 1 if it holds all, or if nothing reliable is announced.

    Args:
        log: libsndfile's, from opening it.
    """
    for announced, there in _ANNOUNCED.findall(log):
        bytes_announced, bytes_there = int(announced), int(there or max(0, size - _HEADER))
        if bytes_there and bytes_announced > (bytes_there if there else size) and not _UNKNOWN < bytes_announced <= _LARGEST:
            return bytes_there / bytes_announced
    return 1.0


def ends(file: BinaryIO) -> bool:
    """Whether the last page of an Ogg file is whole, and marked as the last."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 2 * _PAGE))
    end = file.read()
    page = end.rfind(b"OggS")
    segments = page + 27
    if page < 0 or len(end) < segments:
        return False
    count = end[segments - 1]
    return bool(end[page + 5] & 4) and len(end) >= segments + count + sum(end[segments : segments + count])


def _patch(file: BinaryIO) -> tuple[int, bytes] | None:
    """Where to write what, so that the header announces the audio behind it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    magic = file.read(12)
    if magic[:4] == b".snd":
        offset, announced = struct.unpack(">II", magic[4:12])
        return (8, struct.pack(">I", min(size - offset, _LARGEST - 1))) if announced == 0 and size > offset else None
    if magic[:4] in (b"RIFF", b"RF64") and magic[8:] == b"WAVE":
        sizes = -1  # where the 64-bit sizes lie
        for name, start, announced in _chunks(file, 12, "<4sI"):
            if name == b"ds64":
                sizes = start
            if name == b"data":
                there = size - start
                if magic[:4] == b"RF64" and sizes >= 0 and announced == _LARGEST:
                    file.seek(sizes + 8)
                    (announced,) = struct.unpack("<Q", file.read(8))
                    patch = sizes + 8, struct.pack("<Q", there)
                else:
                    patch = start - 4, struct.pack("<I", min(there, _LARGEST - 1))
                return patch if announced == 0 and there > 0 and not _is_chunk(file, start, size) else None
    if magic[:4] == b"caff":
        for name, start, announced in _chunks(file, 8, ">4sQ"):
            if name == b"data":  # 4 bytes of it count edits
                return (start - 8, struct.pack(">Q", size - start)) if announced > size - start > 4 or announced == 0 else None
    return None


def _chunks(file: BinaryIO, start: int, layout: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, position of the content, and announced length of each chunk."""
    length = struct.calcsize(layout)
    even = 2 if length == 8 else 1
    while True:
        file.seek(start)
        head = file.read(length)
        if len(head) < length:
            return
        name, announced = struct.unpack(layout, head)
        yield name, start + length, announced
        start += length + -(-announced // even) * even


def _is_chunk(file: BinaryIO, start: int, size: int) -> bool:
    """Whether a chunk begins here: four letters and a length that fits, as behind a recording that really is empty."""
    file.seek(start)
    head = file.read(8)
    if len(head) < 8:
        return False
    name, announced = struct.unpack("<4sI", head)
    return all(32 <= byte < 127 for byte in name) and start + 8 + announced <= size + 1
