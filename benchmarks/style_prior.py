"""`make style-prior`: learns the prior over settings that the search of styles starts from.

Opens every installed LV2 effect and every one of Pedalboard's, but for those of `benchmarks/style_any.py`, reads defaults and
factory presets, and renders a recording at random settings. Writes counts by class of parameter into the package. Facts of each
effect go to a file of JSON lines at once, so that an interrupted run continues.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from style_any import TARGETS

from blackbox_grad import EffectSpec, Host
from blackbox_grad.audio_files import example, resample
from blackbox_grad.effects import Audio
from blackbox_grad.effects.first_look import unlooked
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.files import replacing
from blackbox_grad.hosts import opened_host
from blackbox_grad.hosts.answering import presets_in
from blackbox_grad.inspection import scan
from blackbox_grad_adapters.style_matching.data.rejection import SIMILARITY, silent, similarity
from blackbox_grad_adapters.style_matching.effect_path import normalise
from blackbox_grad_adapters.style_matching.matching.prior import BINS, TABLE, classes

RATE, SECONDS = 24_000.0, 1.5

#: Random settings of each effect, and parameters of an effect that are too many: it is left out.
SETTINGS, MOST = 48, 64

#: Fewest effects of a class that the table keeps.
FEWEST = 5


def addresses() -> list[str]:
    """Each effect in one format: LV2, or Pedalboard's own."""
    found = [row for row in scan() if row.status == "listed" and row.takes != "notes"]
    mine = [row.address for row in found if row.backend == "pedalboard-builtin"]
    lv2 = [row.address for row in found if row.address.startswith(("dawdreamer:http", "dawdreamer:urn"))]
    tested = {
        part.strip().rpartition("/")[2].rpartition(":")[2].removesuffix(".vst3")
        for a in TARGETS.values()
        for part in a.split("|")
    }
    return [a for a in mine + lv2 if a.rpartition("/")[2].rpartition(":")[2] not in tested]


def facts(host: Host, address: str, sound: Audio) -> dict[str, Any]:
    """Of one effect: for each parameter its classes, the values of defaults and presets, and of audible and other settings."""
    spec = unlooked(EffectSpec.of(address, RATE, "trainable"))
    info = host.open(spec)
    space = info.parameters
    if not 0 < len(space) <= MOST or info.takes == "notes":
        return {"address": address, "parameters": []}
    points = space.snap(np.random.default_rng(0).uniform(size=(SETTINGS, len(space))))
    y, finite = host.render_batch(spec, sound[None], points[:, None])
    wet = torch.from_numpy(np.nan_to_num(y[:, 0], posinf=0.0, neginf=0.0))
    dry = torch.from_numpy(sound[None]).expand_as(wet)
    good = finite[:, 0] & ~silent(wet).numpy() & (similarity(dry, normalise(wet), RATE) >= SIMILARITY).numpy()
    try:
        presets = [preset.p for preset in presets_in(host, spec)]
    except BlackboxGradError:
        presets = []
    rows = []
    for i, parameter in enumerate(space):
        rows.append(
            {
                "classes": classes(parameter),
                "default": parameter.default,
                "presets": [round(float(p[i]), 4) for p in presets],
                "audible": np.histogram(points[good, i], BINS, (0, 1))[0].tolist(),
                "all": np.histogram(points[:, i], BINS, (0, 1))[0].tolist(),
            }
        )
    return {"address": address, "parameters": rows}


def table(effects: list[dict[str, Any]]) -> dict[str, Any]:
    """Class -> number of effects, and two densities with a mean of 1: of audible random settings, and of defaults and presets."""
    audible, usual = defaultdict[str, list[Any]](list), defaultdict[str, list[Any]](list)
    for effect in effects:
        own: defaultdict[str, list[tuple[Any, Any]]] = defaultdict(list)
        for row in effect["parameters"]:
            share = (np.array(row["audible"]) + 1.0) / (np.array(row["all"]) + 2.0)
            values = np.histogram([row["default"]], BINS, (0, 1))[0].astype(float)
            if row["presets"]:
                values = (values + np.histogram(row["presets"], BINS, (0, 1))[0] / len(row["presets"])) / 2
            for name in row["classes"]:
                own[name].append((share / share.mean(), values * BINS))
        for name, pairs in own.items():  # an effect counts once in a class
            audible[name].append(np.mean([pair[0] for pair in pairs], axis=0))
            usual[name].append(np.mean([pair[1] for pair in pairs], axis=0))
    return {
        name: {
            "effects": len(rows),
            "audible": np.mean(rows, axis=0).round(3).tolist(),
            "usual": np.mean(usual[name], axis=0).round(3).tolist(),
        }
        for name, rows in sorted(audible.items())
        if len(rows) >= FEWEST
    }


def main(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder of the facts.")] = Path("build/prior"),
    every: Annotated[int, typer.Option(help="Only every so many of the effects.")] = 1,
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = folder / "effects.jsonl"
    known = {row["address"]: row for row in map(json.loads, lines.read_text("utf-8").splitlines())} if lines.exists() else {}
    audio, rate = example()
    sound = normalise(torch.from_numpy(resample(audio[:1], rate, RATE))[None, :, : int(SECONDS * RATE)])[0].numpy()
    wanted = addresses()[::every]
    with opened_host("processes:hosts=1", time_limit=10.0, open_limit=20.0) as host:
        for n, address in enumerate(wanted):
            if address in known:
                continue
            try:
                known[address] = facts(host, address, sound)
            except BlackboxGradError as error:
                known[address] = {"address": address, "parameters": [], "error": str(error)[:200]}
            with lines.open("a", encoding="utf-8") as file:
                file.write(json.dumps(known[address]) + "\n")
            print(f"{n + 1}/{len(wanted)} {address}", flush=True)
    used = [row for address, row in sorted(known.items()) if address in wanted and row["parameters"]]
    with replacing(TABLE) as path:
        content = {"effects": len(used), "parameters": sum(len(row["parameters"]) for row in used), "classes": table(used)}
        Path(path).write_text(json.dumps(content, indent=None, separators=(",", ":")).replace('},"', '},\n"') + "\n", "utf-8")
    print(f"{TABLE.name}: {len(used)} effects")


if __name__ == "__main__":
    typer.run(main)
