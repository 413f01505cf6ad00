"""Measures the style encoder on effects and recordings that it never met, and writes `docs/measured/style-encoder.md`.

    make style-encoder                    # renders the examples first, about an hour; it resumes
    make style-encoder ARGS='--encoder runs/style/style-encoder.safetensors'

It is compared with statistics of MFCCs, with the package's encoder for controllers, and with its own features without a network,
all on the same renders.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from style_encoder_measures import Styles, recognised, recognition, same_style, scaled, settings
from style_encoder_page import ORIGINAL, card, page
from torch import Tensor

from blackbox_grad.files import replacing
from blackbox_grad_adapters.style_matching.data.effect_list import ListedEffect, listed
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.style_encoder import FILE, StyleEncoder
from blackbox_grad_adapters.style_matching.training import style_data

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "measured" / "style-encoder.md"

#: The six effects of the original's readout.
SIX = [f"{shipped.MDA}/{name}" for name in ORIGINAL]

#: The rows of all tables: a name, and the tensor of a shard that it starts from.
SYSTEMS = {
    "style encoder": style_data.FEATURES,
    "its features, no network": style_data.FEATURES,
    "encoder for controllers": "before",
    "MFCC statistics": "mfcc",
}

#: Effects to choose from.
EFFECTS = 100


def chosen(effects: Sequence[ListedEffect], examples: Path) -> list[ListedEffect]:
    """The effects that are measured: all that are held out and have examples, the six, and others, up to `EFFECTS`."""
    there = [e for e in effects if e.used and style_data.read(examples, e, "evaluate", ["part"]) is not None]
    first = [e for e in there if e.held or e.address in SIX]
    return first + [e for e in there if e not in first][: max(0, EFFECTS - len(first))]


def embedded(
    effects: Sequence[ListedEffect], examples: Path, tensor: str, embed: Callable[[Tensor], Tensor]
) -> dict[str, Styles]:
    """The styles of each effect, by address."""
    found = {}
    for effect in effects:
        shards = style_data.read(examples, effect, "evaluate", [tensor, "p", "change", "part"])
        assert shards is not None
        with torch.no_grad():
            z = embed(shards[tensor].flatten(0, 1).float()).unflatten(0, (-1, 2))
        found[effect.address] = Styles(z, shards["p"], shards["change"], shards["part"])
    return scaled(found)


def measured(effects: Sequence[ListedEffect], examples: Path, encoder: StyleEncoder) -> dict[str, Any]:
    """All tables, as JSON."""
    ears = shipped.encoder()
    embed: Mapping[str, Callable[[Tensor], Tensor]] = {
        "style encoder": encoder.embed,
        "its features, no network": encoder.standardised,
        "encoder for controllers": lambda rows: style_data.before(ears, rows),
        "MFCC statistics": lambda rows: rows,
    }
    held = [effect.address for effect in effects if effect.held]
    seen = [effect.address for effect in effects if not effect.held]
    tables: dict[str, Any] = {}
    for system, tensor in SYSTEMS.items():
        styles = embedded(effects, examples, tensor, embed[system])
        tables[system] = {
            "held": recognition(styles, held),
            "seen": recognition(styles, seen),
            "across": same_style(styles, held, within=False),
            "within": same_style(styles, held, within=True),
            "six": recognised({name: styles[name] for name in SIX if name in styles}, audible_only=False),
            "six audible": recognised({name: styles[name] for name in SIX if name in styles}, audible_only=True),
        }
        if system != "its features, no network":  # thousands of numbers for some hundred examples
            tables[system]["settings"] = settings(styles, held)
        print(system, json.dumps({k: v for k, v in tables[system].items() if k != "settings"}), flush=True)
    return tables


def speed(encoder: StyleEncoder) -> dict[str, float]:
    """Milliseconds of one core for a second of audio at 44.1 kHz, of this encoder and of the one for controllers at 24 kHz."""
    ears, threads = shipped.encoder(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        seconds = 4 * encoder.length / encoder.sample_rate
        generator = torch.Generator().manual_seed(0)
        wide = torch.randn(1, 2, 4 * encoder.length, generator=generator)
        narrow = torch.randn(1, 1, round(seconds * ears.sample_rate), generator=generator)
        times: dict[str, list[float]] = {"style encoder": [], "encoder for controllers": []}
        with torch.no_grad():
            for _ in range(9):
                for name, call in (
                    ("style encoder", lambda: encoder(wide)),
                    ("encoder for controllers", lambda: ears.embed(narrow)),
                ):
                    start = time.process_time()
                    call()
                    times[name].append((time.process_time() - start) / seconds * 1000)
    finally:
        torch.set_num_threads(threads)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=Path, default=ROOT / "build" / "style-encoder", help="folder of the examples")
    parser.add_argument("--encoder", type=Path, default=FILE, help="weights (default: the package's)")
    parser.add_argument("--shards", type=int, default=4, help="of 25 settings of each held-out effect; 0: those that exist")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--results", type=Path, help="also write the tables as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    effects = listed()
    if arguments.shards:
        order = style_data.jobs(effects, 0, arguments.shards, SIX, EFFECTS)
        style_data.build(
            order, arguments.examples, on_progress=lambda d, n, job, cause: print(f"{d}/{n} {job.effect.address} {cause}")
        )
    encoder = StyleEncoder.load(arguments.encoder)
    measured_ones = chosen(effects, arguments.examples)
    tables = measured(measured_ones, arguments.examples, encoder)
    if arguments.results:
        arguments.results.write_text(json.dumps(tables, indent=1), "utf-8")
    times = speed(encoder)
    for file, write in ((arguments.page, page), (arguments.page.with_stem(f"{arguments.page.stem}-card"), card)):
        with replacing(file) as temporary:
            temporary.write_text(write(tables, measured_ones, times, encoder, arguments.encoder), "utf-8")
        print(f"written: {file}")


if __name__ == "__main__":
    main()
