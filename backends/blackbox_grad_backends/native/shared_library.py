"""Why a plug-in's library cannot be loaded, read from its file without loading it.

Host libraries say "unable to load" for every cause, and loading a truncated library kills the process (SIGBUS).
"""

from __future__ import annotations

import platform
import struct
import sys
from pathlib import Path

#: First bytes of a library -> its system.
_SYSTEMS = {b"\x7fELF": "linux", b"MZ": "win32", b"\xcf\xfa\xed\xfe": "darwin", b"\xca\xfe\xba\xbe": "darwin"}

_NAMES = {"linux": "Linux", "win32": "Windows", "darwin": "macOS"}

#: `e_machine` in the header of ELF, https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
_MACHINES = {3: "32-bit x86", 40: "32-bit ARM", 62: "x86-64", 183: "64-bit ARM", 243: "RISC-V"}

_HEADER = 64


def trouble(plugin: Path) -> str:
    """What is wrong with a plug-in's file, or with the library inside its bundle; empty if it finds nothing."""
    library = plugin
    if plugin.is_dir():
        contents = plugin / "Contents"
        if not contents.is_dir():
            return "the bundle has no folder Contents"
        if sys.platform != "linux":
            return ""
        folder = contents / f"{platform.machine()}-linux"
        found = sorted(folder.glob("*.so"))
        if not found:
            present = ", ".join(sorted(entry.name for entry in contents.iterdir())) or "nothing"
            return f"the bundle has no library for this machine, Contents/{folder.name}/*.so; in Contents: {present}"
        library = found[0]
    try:
        with library.open("rb") as file:
            start = file.read(_HEADER)
        system = next((name for magic, name in _SYSTEMS.items() if start.startswith(magic)), None)
        if system is None:
            return f"{library.name} is not a shared library (it starts with {start[:4]!r})"
        if system != sys.platform:
            return f"{library.name} is for {_NAMES[system]}"
        if system != "linux":
            return ""
        if plugin.suffix == ".vst3" and library == plugin:
            return f"a VST3 is a folder, {plugin.name}/Contents/{platform.machine()}-linux/{plugin.stem}.so, and this is a file"
        return _trouble_in_elf(library)
    except OSError as error:
        return f"{library.name} cannot be read ({error.strerror})"


def library_of(plugin: Path) -> Path:
    """The shared library of a plug-in that `trouble` has let through: its file, or the one in its bundle."""
    if not plugin.is_dir():
        return plugin
    inside = {"darwin": "MacOS", "win32": "x86_64-win"}.get(sys.platform, f"{platform.machine()}-linux")
    return next(entry for entry in sorted((plugin / "Contents" / inside).iterdir()) if entry.is_file())


def _trouble_in_elf(library: Path) -> str:
    with library.open("rb") as file, open("/proc/self/exe", "rb") as this_program:
        header, our_header = file.read(_HEADER), this_program.read(_HEADER)
        cut = f"{library.name} is cut off: it has {library.stat().st_size} bytes"
        if len(header) < _HEADER:
            return cut
        machine, ours = (struct.unpack_from("=H", h, 18)[0] for h in (header, our_header))
        if machine != ours:
            names = [_MACHINES.get(number, f"machine {number}") for number in (machine, ours)]
            return f"{library.name} is for {names[0]}, and this program runs on {names[1]}"
        # the segments: each needs p_filesz bytes at p_offset (64 bit)
        ((offset,), (length, count)) = struct.unpack_from("=Q", header, 32), struct.unpack_from("=HH", header, 54)
        file.seek(offset)
        table = file.read(length * count)
    if len(table) < length * count:
        return cut
    ends = [sum(struct.unpack_from("=Q", table, at + field)[0] for field in (8, 32)) for at in range(0, len(table), length)]
    return f"{cut} of {max(ends)}" if ends and library.stat().st_size < max(ends) else ""
