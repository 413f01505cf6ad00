"""`.vstpreset` files from the state that JUCE saves of a VST3: the same parts, with the class of the plug-in before them.

JUCE's state is XML with each part as a length and characters of 6 bits each, lowest bit first. A `.vstpreset` is a header, the
parts one after another, and a list of their places (Steinberg's `PresetFile`).
"""

from __future__ import annotations

import ctypes
import re
import struct
from pathlib import Path

import numpy as np

from blackbox_grad.errors import EffectLoadError
from blackbox_grad_backends.native.shared_library import library_of

_ALPHABET = b".ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+"
_PART = re.compile(rb"<(IComponent|IEditController)>(\d{1,12})\.([.A-Za-z0-9+]*)</\1>")
_CHUNKS = {b"IComponent": b"Comp", b"IEditController": b"Cont"}

#: Of the plug-in itself, beside its editor's class.
_CATEGORY = b"Audio Module Class"

#: The functions of `IPluginFactory`, by their place behind the three of `FUnknown`; and `PClassInfo`: 16 bytes, a number, the
#: category in 32 and the name in 64 bytes.
_COUNT_CLASSES, _GET_CLASS_INFO = 4, 5
_INFO = struct.Struct("<16si32s64s")


def preset_of_state(state: bytes, identity: bytes) -> bytes:
    """The preset with the parts of a state.

    Args:
        state: as JUCE saves it.
        identity: of the class, 16 bytes.
    """
    parts = [(_CHUNKS[name], _decoded(int(size), text)) for name, size, text in _PART.findall(state)]
    if not any(name == b"Comp" for name, _ in parts):
        raise EffectLoadError("the plug-in saves no state, so there is no preset; keep its settings in a file of parameters")
    body, places = b"", b""
    for name, content in parts:
        places += struct.pack("<4sqq", name, 48 + len(body), len(content))
        body += content
    header = struct.pack("<4si32sq", b"VST3", 1, identity.hex().upper().encode(), 48 + len(body))
    return header + body + struct.pack("<4si", b"List", len(parts)) + places


def _decoded(size: int, text: bytes) -> bytes:
    places = np.full(256, 0, np.uint8)
    places[list(_ALPHABET)] = np.arange(64)
    bits = np.unpackbits(places[np.frombuffer(text, np.uint8)][:, None], axis=1, count=6, bitorder="little")
    return np.packbits(bits.ravel()[: 8 * size], bitorder="little").tobytes()


def class_of(plugin: Path) -> bytes:
    """The identity of the first plug-in of a VST3 that this process has open: 16 bytes, which its factory tells."""
    library = ctypes.CDLL(str(library_of(plugin)))  # the same that is open: the system loads no second one
    factory_of = library.GetPluginFactory
    factory_of.restype = ctypes.c_void_p
    factory = factory_of()
    pointers = ctypes.POINTER(ctypes.c_void_p)
    functions = ctypes.cast(ctypes.cast(factory, pointers)[0] or 0, pointers)
    count = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p)(functions[_COUNT_CLASSES] or 0)
    tell = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p)(functions[_GET_CLASS_INFO] or 0)
    told = ctypes.create_string_buffer(_INFO.size)
    for number in range(count(factory)):
        if tell(factory, number, told) == 0:
            identity, _, category, _ = _INFO.unpack(told.raw)
            if category.partition(b"\0")[0] == _CATEGORY:
                return bytes(identity)
    raise EffectLoadError(f"{plugin.name} does not tell its class, with which a .vstpreset begins; save one in Pedalboard")
