"""A bundle with one LV2 preset: `manifest.ttl`, which names it, and the file that holds its values."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np

_PREFIXES = """@prefix lv2: <http://lv2plug.in/ns/lv2core#> .
@prefix pset: <http://lv2plug.in/ns/ext/presets#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix state: <http://lv2plug.in/ns/ext/state#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""


def bundle_files(plugin: str, name: str, ports: Mapping[str, float], messages: Mapping[str, float]) -> dict[str, bytes]:
    """Name of a file -> its content.

    Args:
        plugin: URI of the plug-in.
        name: of the preset, for people.
        ports: symbol -> native value.
        messages: IRI of a parameter that is set by messages -> native value. LV2 keeps these in the state.
    """
    label = json.dumps(name, ensure_ascii=False)  # the escapes of JSON are Turtle's
    about = f"a pset:Preset ;\n\tlv2:appliesTo <{plugin}> ;\n\trdfs:label {label}"
    manifest = f"{_PREFIXES}\n<preset.ttl>\n\t{about} ;\n\trdfs:seeAlso <preset.ttl> .\n"
    values = [
        f"[\n\t\tlv2:symbol {json.dumps(symbol)} ;\n\t\tpset:value {_decimal(value)}\n\t]" for symbol, value in ports.items()
    ]
    listed = " ;\n\tlv2:port " + " , ".join(values) if values else ""
    kept = [f'\t\t<{iri}> "{_decimal(value)}"^^xsd:float' for iri, value in messages.items()]
    state = " ;\n\tstate:state [\n" + " ;\n".join(kept) + "\n\t]" if kept else ""
    preset = f"{_PREFIXES}\n<>\n\t{about}{listed}{state} .\n"
    return {"manifest.ttl": manifest.encode("utf-8"), "preset.ttl": preset.encode("utf-8")}


def _decimal(value: float) -> str:
    """The shortest decimal that is the same 32-bit float."""
    return np.format_float_positional(np.float32(value), trim="0")
