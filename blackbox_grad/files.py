"""Files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import threading
import warnings
from collections.abc import Collection, Iterator
from pathlib import Path

from blackbox_grad.errors import AudioError

#: Of a file that holds no recording.
MOST_BYTES = 1 << 26

#: Seconds after which it is said that a pipe has no other end.
_PATIENCE = 2.0


def check_writable(path: str | os.PathLike[str], suffixes: Collection[str]) -> None:
    """Raise `AudioError` if a file of this name cannot be written. Call it before the work that fills the file.

    Args:
        path: of the file.
        suffixes: the allowed ones, in lower case; any if there are none.
    """
    path = Path(path)
    if suffixes and path.suffix.lower() not in suffixes:
        if not path.suffix and path.is_relative_to("/dev"):
            way_out = (
                f"a file or a pipe with a suffix ({', '.join(suffixes)}), such as one from `mkfifo out{next(iter(suffixes))}`"
            )
            raise AudioError(f"{path}: its name does not tell the format; name {way_out}")
        raise AudioError(f"{path}: the suffix {path.suffix or '(none)'} is unknown; allowed are {', '.join(suffixes)}")
    if os.path.isdir(path):
        raise AudioError(f"{path} is a folder; name a file in it")
    if is_device(path):
        return
    if not os.path.isdir(path.parent):
        trouble = "is not a folder" if os.path.exists(path.parent) else "does not exist; make it first"
        raise AudioError(f"{path}: the folder {path.parent} {trouble}")
    if not os.access(path.parent, os.W_OK):
        raise AudioError(f"{path}: the folder {path.parent} cannot be written to; check its permissions")


def check_folder(path: str | os.PathLike[str]) -> None:
    """Raise `AudioError` if this cannot be a folder of results. Call it before the work. It may not exist yet."""
    path = Path(path)
    nearest = next((p for p in (path, *path.absolute().parents) if os.path.lexists(p)), Path("."))
    if not os.path.isdir(nearest):
        what = f"{path}" if nearest == path else f"{path}: {nearest}"
        raise AudioError(f"{what} is not a folder; name another")
    if not os.access(nearest, os.W_OK):
        raise AudioError(f"{path}: the folder {nearest} cannot be written to; check its permissions")


def check_readable_folder(path: str | os.PathLike[str]) -> Path:
    """The absolute path of a folder. Raises `AudioError` if it is none, or cannot be read."""
    folder = Path(path).expanduser().absolute()
    if not os.path.isdir(folder):
        raise AudioError(f"{os.fspath(path)}: {'no folder, but a file' if os.path.exists(folder) else 'no such folder'}")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise AudioError(f"{os.fspath(path)}: the folder cannot be read; check its permissions")
    return folder


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name in the same folder, renamed to `path` if the block succeeds and deleted otherwise.

    An `OSError` in the block, such as a full disk, becomes an `AudioError`, and an older file is still there. A link stays one; a
    device or pipe, `/dev/stdout`, is written to.
    """
    device, target = is_device(path), Path(os.path.realpath(path))
    temporary = path if device else target.with_name(f".{target.name[:50]}.{secrets.token_hex(4)}.part")
    try:
        with pipe_awaited(path, "reads from it"):
            yield temporary
        if not device:
            temporary.replace(target)
    except OSError as error:
        raise AudioError(
            f"{path}: cannot be written ({error.strerror or error}); make room there, or choose another"
        ) from error
    finally:
        if not device:
            with contextlib.suppress(OSError):
                temporary.unlink()


def content_of(path: str | os.PathLike[str], most: int = MOST_BYTES) -> bytes:
    """What is in a file that a person named: settings, a program, a table, but no recording.

    Args:
        most: bytes. A device has no end, and a file of another kind may be as long as a film.

    Raises:
        AudioError: it is missing, longer, or cannot be read.
    """
    try:
        with pipe_awaited(path, "writes into it"):
            file = open(path, "rb")  # noqa: SIM115
        with file:
            kind = os.fstat(file.fileno()).st_mode
            if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
                raise AudioError(f"{os.fspath(path)} is a device and no file; name a file")
            content = file.read(most + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, AudioError):
            raise
        if isinstance(error, FileNotFoundError):
            raise AudioError(f"{os.fspath(path)}: no such file") from error
        raise AudioError(f"{os.fspath(path)}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if len(content) > most:
        raise AudioError(f"{os.fspath(path)}: holds more than {most >> 20} MiB, so it is no such file; name another")
    return content


def text_of(path: str | os.PathLike[str], most: int = MOST_BYTES) -> str:
    """`content_of` as text in UTF-8. Raises `AudioError` if it is none."""
    try:
        return content_of(path, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise AudioError(f"{os.fspath(path)}: is no text; name another file") from error


@contextlib.contextmanager
def pipe_awaited(path: str | os.PathLike[str], does: str) -> Iterator[None]:
    """If the path is a pipe, and the block takes long, warn of what it waits for: a program that "writes into it"."""
    if not is_pipe(path):
        yield
        return
    said = f"{os.fspath(path)} is a pipe: waiting for a program that {does}"
    timer = threading.Timer(_PATIENCE, warnings.warn, [said])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def is_pipe(path: str | os.PathLike[str]) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def is_device(path: Path) -> bool:
    """Whether it is a device or a pipe, which is written to and not replaced."""
    return os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path))
