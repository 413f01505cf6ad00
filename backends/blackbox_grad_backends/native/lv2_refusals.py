"""Why DawDreamer cannot run an LV2 plug-in, known from the plug-in's files before it is loaded, and before it crashes."""

from __future__ import annotations

import ctypes

from blackbox_grad_backends.native.lv2_description import PluginDescription, PortKind
from blackbox_grad_backends.native.lv2_home import NEEDLESS

#: Features of the host that DawDreamer's host, JUCE, offers to LV2 plug-ins.
OFFERED = frozenset(
    {
        "http://lv2plug.in/ns/ext/state#loadDefaultState",
        "http://lv2plug.in/ns/ext/state#threadSafeRestore",
        "http://lv2plug.in/ns/ext/buf-size#boundedBlockLength",
        "http://lv2plug.in/ns/ext/urid#map",
        "http://lv2plug.in/ns/ext/urid#unmap",
        "http://lv2plug.in/ns/ext/options#options",
        "http://lv2plug.in/ns/ext/worker#schedule",
        "http://lv2plug.in/ns/ext/resize-port#resize",
    }
)


def refusal(plugin: PluginDescription) -> str:
    """One sentence without its subject, the plug-in; empty if nothing speaks against opening it."""
    if plugin.is_instrument and not plugin.plays_notes:
        return "is no instrument: it has no audio output, or takes no MIDI"
    if plugin.ports and not plugin.plays_notes:
        inputs, outputs = len(plugin.of("audio")), len(plugin.of("audio", is_input=False))
        if not inputs or not outputs:
            what = "a generator" if not inputs else "an analyser"
            return f"is {what}, not an effect: it has {inputs} audio inputs and {outputs} outputs"
    if missing := [feature for feature in plugin.required if feature not in OFFERED | NEEDLESS]:
        return f"cannot be opened: it requires the host feature {' and '.join(missing)}, which DawDreamer does not have"
    if names := _unconnected(plugin, "cv"):
        return f"cannot be opened: it has CV ports ({names}), which DawDreamer leaves unconnected, and would crash"
    if names := _unconnected(plugin, "other"):
        return f"cannot be opened: it has ports of a kind that DawDreamer does not know ({names})"
    return ""


def why_not_loaded(plugin: PluginDescription) -> str:
    """Why the host, which has tried, could not load a plug-in: read from the system's loader, and from the library itself."""
    if plugin.binary is None:
        return "its description names no library"
    try:
        library = ctypes.CDLL(str(plugin.binary))
    except OSError as error:
        return f"its library cannot be loaded: {str(error).removeprefix(f'{plugin.binary}: ')}"
    found = _uris(library)
    if plugin.uri in found:
        return "the plug-in refused to start; it may lack a file, a licence or a display"
    return f"its library has no plug-in of this URI; it has: {', '.join(found) or 'none'}"


def _uris(library: ctypes.CDLL) -> list[str]:
    """URIs of the plug-ins in a library, by https://lv2plug.in/c/html/group__lv2core.html: `lv2_descriptor` counts them."""

    class Descriptor(ctypes.Structure):
        _fields_ = (("uri", ctypes.c_char_p),)

    found: list[str] = []
    if hasattr(library, "lv2_descriptor"):
        library.lv2_descriptor.restype, library.lv2_descriptor.argtypes = ctypes.POINTER(Descriptor), [ctypes.c_uint32]
        while descriptor := library.lv2_descriptor(len(found)):
            found.append(descriptor.contents.uri.decode("utf-8", "replace"))
    return found


def _unconnected(plugin: PluginDescription, kind: PortKind) -> str:
    """Names of the ports of a kind, but of those that may be left unconnected."""
    ports = [*plugin.of(kind), *plugin.of(kind, is_input=False)]
    return ", ".join(port.symbol for port in ports if kind == "other" or "connectionOptional" not in port.properties)
