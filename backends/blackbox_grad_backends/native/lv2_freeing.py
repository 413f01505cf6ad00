"""LV2 plug-ins that crash when an instance is freed that was never activated.

DawDreamer's host, JUCE, makes a first instance, frees it at once, and activates only the next. LV2 allows that. swh's `*_iir`
filters allocate memory in `activate`, and free it without a look at whether they have it. A small trial in a process of its own
finds such plug-ins. Their first instance is then never freed; all others are.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from blackbox_grad.cache import JsonCache
from blackbox_grad.errors import EffectLoadError
from blackbox_grad_backends.native.lv2_description import PluginDescription

#: The one feature that the trial offers. What requires more is not tried.
_MAP = "http://lv2plug.in/ns/ext/urid#map"

_TIME_LIMIT = 20.0

#: What the trial writes between making an instance and freeing it.
_MADE = b"\0made\0"

#: `sys.argv`: library, URI, bundle, sample rate. It needs neither site-packages nor this package.
_PROGRAM = """
import ctypes, os, sys
file, uri, bundle, rate = sys.argv[1:]
P = ctypes.c_void_p
names = "uri instantiate connect_port activate run deactivate cleanup extension_data"
Descriptor = type("Descriptor", (ctypes.Structure,), {"_fields_": [(name, P) for name in names.split()]})
Feature = type("Feature", (ctypes.Structure,), {"_fields_": [("uri", ctypes.c_char_p), ("data", P)]})
Map = ctypes.CFUNCTYPE(ctypes.c_uint32, P, ctypes.c_char_p)
Mapping = type("Mapping", (ctypes.Structure,), {"_fields_": [("handle", P), ("map", Map)]})
known = {}
mapping = Mapping(None, Map(lambda handle, word: known.setdefault(word, len(known) + 1)))
feature = Feature(b"http://lv2plug.in/ns/ext/urid#map", ctypes.cast(ctypes.pointer(mapping), P))
features = (ctypes.POINTER(Feature) * 2)(ctypes.pointer(feature), None)
library = ctypes.CDLL(file)
library.lv2_descriptor.restype, index = ctypes.POINTER(Descriptor), 0
while (found := library.lv2_descriptor(index)) and ctypes.string_at(found.contents.uri) != uri.encode():
    index += 1
if found and found.contents.activate and found.contents.cleanup:
    instantiate = ctypes.CFUNCTYPE(P, P, ctypes.c_double, ctypes.c_char_p, P)(found.contents.instantiate)
    handle = instantiate(ctypes.cast(found, P), float(rate), bundle.encode(), ctypes.cast(features, P))
    if handle:
        os.write(1, b"\\0made\\0")
        ctypes.CFUNCTYPE(None, P)(found.contents.cleanup)(handle)
os._exit(0)
"""


class _Descriptor(ctypes.Structure):
    """`LV2_Descriptor` of https://lv2plug.in/c/html/group__lv2core.html."""

    _fields_ = tuple(
        (name, ctypes.c_void_p)
        for name in ("uri", "instantiate", "connect_port", "activate", "run", "deactivate", "cleanup", "extension_data")
    )


def dies_if_freed_unused(plugin: PluginDescription, sample_rate: float) -> bool:
    """Whether the plug-in crashes when an instance that was never activated is freed. Remembered until its library changes."""
    if sys.platform != "linux" or plugin.binary is None or set(plugin.required) - {_MAP}:
        return False
    cache = JsonCache("lv2-freeing")
    try:
        file = plugin.binary.stat()
    except OSError:
        return False
    stamp = f"{plugin.binary} {file.st_mtime_ns} {file.st_size}"
    known = cache.get(plugin.uri, stamp)
    if isinstance(known, bool):
        return known
    arguments = [str(plugin.binary), plugin.uri, f"{plugin.bundle}{os.sep}", repr(sample_rate)]
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_TIME_LIMIT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    found = done.returncode < 0 and _MADE in done.stdout
    cache.put(plugin.uri, stamp, found)
    return found


@contextlib.contextmanager
def kept_instances(plugin: PluginDescription) -> Iterator[None]:
    """Instances that the host frees inside the block stay in memory. Raises if the system does not allow that."""
    descriptor = _descriptor(plugin.binary, plugin.uri) if plugin.binary else None
    if descriptor is None or not _made_writable(descriptor):
        raise EffectLoadError(
            f"dawdreamer:{plugin.uri} cannot be opened: it crashes when an instance is freed that was never activated, which "
            "DawDreamer does, and its table of functions is write-protected here"
        )
    real = descriptor.cleanup
    # a function of the C library that takes one word, and does nothing
    descriptor.cleanup = ctypes.cast(ctypes.CDLL(None).labs, ctypes.c_void_p).value
    try:
        yield
    finally:
        descriptor.cleanup = real


def _descriptor(library: Path, uri: str) -> _Descriptor | None:
    """The plug-in's table of functions, the one that the host uses, too: a library is loaded once."""
    loaded = ctypes.CDLL(str(library))
    loaded.lv2_descriptor.restype, loaded.lv2_descriptor.argtypes = ctypes.POINTER(_Descriptor), [ctypes.c_uint32]
    index = 0
    while found := loaded.lv2_descriptor(index):
        if ctypes.string_at(found.contents.uri).decode("utf-8", "replace") == uri:
            descriptor: _Descriptor = found.contents
            return descriptor
        index += 1
    return None


def _made_writable(descriptor: _Descriptor) -> bool:
    """Most tables are constants, in memory that the loader has protected."""
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    start = ctypes.addressof(descriptor)
    first, end = start - start % mmap.PAGESIZE, start + ctypes.sizeof(descriptor)
    return int(protect(first, end - first, mmap.PROT_READ | mmap.PROT_WRITE)) == 0
