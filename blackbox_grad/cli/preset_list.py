"""`blackbox-grad inspect --presets`: the presets of an effect or an instrument."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.text import Text

from blackbox_grad.cli.completion import remember_presets
from blackbox_grad.cli.console import out, print_json, say, table
from blackbox_grad.effects.first_look import unlooked
from blackbox_grad.effects.presets import Presets
from blackbox_grad.effects.spec import EffectSpec
from blackbox_grad.hosts.answering import presets_in
from blackbox_grad.hosts.default import opened_host


def list_presets(spec: EffectSpec, folder: Path | None, host: str | None, json: bool) -> None:
    """Print the factory presets, or those of a folder."""
    spec = unlooked(spec)
    with opened_host(host, hosts=1) as rendering:
        info = rendering.open(spec)
        found = presets_in(rendering, spec, folder)
    if folder is None:
        remember_presets(spec, found.names)
    if json:
        print_json(
            {
                "address": spec.address,
                "name": info.name,
                "presets": [
                    {"name": p.name, "settings": p.settings, "normalised": p.normalised, "notes": list(p.notes)} for p in found
                ],
                "skipped": list(found.skipped),
            }
        )
        return
    say((info.name, "bold"), f"  {spec.address}\n")
    _print(found, len(info.parameters))
    if found and folder is None:
        given = "in.mid" if info.takes == "notes" else "in.wav"
        chosen = f"--preset {shlex.quote(found[0].name)}"
        say("\n", ("render one   ", "dim"), f"blackbox-grad render {shlex.quote(spec.address)} {given} out.wav {chosen}")


def _print(found: Presets, parameters: int) -> None:
    noted = any(preset.notes for preset in found)
    rows = table("preset", "sets", *["note"] * noted, right=["sets"])
    for preset in found:
        rows.add_row(Text(preset.name), f"{len(preset.settings)} of {parameters}", *["; ".join(preset.notes)] * noted)
    if found:
        out().print(rows)
    else:
        say("No presets.")
    for sentence in found.skipped:
        say(("left out  ", "yellow"), sentence)
