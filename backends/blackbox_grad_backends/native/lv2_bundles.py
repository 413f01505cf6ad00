"""The installed LV2 plug-ins: which there are, which of them are effects and instruments, and where each lies.

Reading all descriptions takes seconds, so what a list needs is cached for each bundle, until one of its Turtle files changes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blackbox_grad.cache import JsonCache, digest
from blackbox_grad_backends.native import plugin_folders
from blackbox_grad_backends.native.lv2_description import PluginDescription
from blackbox_grad_backends.native.lv2_reading import describe, describe_all

#: Changes with what is cached.
_EDITION = "3"


@dataclass(frozen=True)
class Installed:
    """One plug-in of the list: its URI and bundle, and as far as its files say, what it takes, its name and maker.

    `takes`: "audio" for an effect, "notes" for an instrument, "" for what neither is: an analyser, or a plug-in for MIDI alone.
    """

    uri: str
    bundle: Path
    takes: str
    name: str
    maker: str


def installed() -> Iterator[Installed]:
    """All plug-ins, instruments too, in the order of search. Of two with one URI, the first counts."""
    cache = JsonCache("lv2-bundles")
    seen: set[str] = set()
    for bundle in plugin_folders.installed("lv2"):
        stamp = stamp_of(bundle)
        listed = cache.get(str(bundle), stamp)
        if listed is None:
            listed = [[plugin.uri, _takes(plugin), plugin.name, plugin.maker] for plugin in describe_all(bundle)]
            cache.put(str(bundle), stamp, listed)
        for uri, *about in listed:
            if uri not in seen:
                seen.add(uri)
                yield Installed(uri, bundle, *about)


def effects() -> Iterator[str]:
    """URIs of the installed effects. Leaves out instruments, generators and analysers, if their files say that they are."""
    return (plugin.uri for plugin in installed() if plugin.takes == "audio")


def _takes(plugin: PluginDescription) -> str:
    return "notes" if plugin.plays_notes else "audio" if plugin.is_effect else ""


def bundle_of(uri: str) -> Path | None:
    """The folder of an installed plug-in; None for an unknown URI."""
    return next((plugin.bundle for plugin in installed() if plugin.uri == uri), None)


def description(uri: str) -> PluginDescription | None:
    """What an installed plug-in says about itself; None for an unknown URI."""
    bundle = bundle_of(uri)
    return None if bundle is None else describe(bundle, uri)


def stamp_of(bundle: Path) -> str:
    """Changes with the Turtle files of a bundle."""
    try:
        with os.scandir(bundle) as entries:
            files = sorted((e.name, (s := e.stat()).st_mtime_ns, s.st_size) for e in entries if e.name.endswith(".ttl"))
    except OSError:
        return ""
    return digest(_EDITION, repr(files))
