"""The pages about the style encoder: its measures, and its model card."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from blackbox_grad_adapters.style_matching.data.effect_list import HELD_FAMILIES, HELD_MAKERS, ListedEffect, listed
from blackbox_grad_adapters.style_matching.networks import shipped
from blackbox_grad_adapters.style_matching.networks.style_encoder import StyleEncoder

#: The six effects of the original's readout, and how many of each were recognised.
ORIGINAL = {"Overdrive": 0.98, "Delay": 0.97, "Combo": 1.00, "RingMod": 1.00, "Dynamics": 0.72, "Ambience": 0.58}

#: Recordings to choose from.
CHOICE = 100


def page(
    tables: Mapping[str, Any], effects: Sequence[ListedEffect], times: Mapping[str, float], encoder: StyleEncoder, file: Path
) -> str:
    """The page."""
    header, rows = encoder.header, listed()
    held = [effect for effect in effects if effect.held]
    met = [row for row in rows if row.address in header["effects"]]
    lines = [
        "# The style encoder, measured",
        "",
        "This page is generated: `make style-encoder` renders the examples and writes it. "
        f"Weights `{encoder.fingerprint}`, blackbox-grad {version('blackbox-grad')}.",
        "",
        f"- *Training*: {len(met)} effects of {len({e.maker for e in met})} makers, {header['settings']} settings, each on two "
        f"recordings. Recordings: {', '.join(sorted({r.partition('/')[0] for r in header['recordings']}))}, and synthetic sounds.",
        f"- *Held out whole*: the families {', '.join(HELD_FAMILIES)}, and the makers {', '.join(HELD_MAKERS)}: "
        f"{len(held)} effects. No training met them, nor the recordings of this page "
        "(asterisk-core-sounds-en-g722, fretsonfire-songs-sectoid, and other synthetic sounds).",
        f"- *Size*: {file.stat().st_size / 1e6:.1f} MB, {encoder.latent} numbers an embedding.",
        f"- *Time*: {times['style encoder']:.1f} ms of one core for a second of stereo audio at 44.1 kHz, "
        f"{times['style encoder'] / times['encoder for controllers']:.1f} times that of the encoder for controllers, in one run.",
        "- Settings at which an effect changes a recording by less than -30 dB are not asked for, unless it says so.",
        "- *Encoder for controllers*: the package's β-VAE, 24 kHz, one channel. *MFCC statistics*: mean and spread of 40 MFCCs and "
        "of their differences. Each dimension of each system is standardised over the effects of this page.",
        "",
        "## Which effect it was",
        "",
        f"Among {len(effects)} effects, by the mean similarity of the three nearest known examples. The known examples of an "
        "effect are up to 30, at other settings and of other excerpts. Chance is "
        f"{100 / len(effects):.1f} %.",
        "",
        "| | held-out effects: first | among five | effects of the training: first | among five |",
        "|---|---:|---:|---:|---:|",
    ]
    for system, table in tables.items():
        lines.append(
            f"| {system} | " + " | ".join(f"{table[s][n]:.2f}" for s in ("held", "seen") for n in ("top 1", "top 5")) + " |"
        )
    lines += [
        "",
        "## The same style in other recordings",
        "",
        "One recording through a held-out effect is the question; another recording, at the same settings, is the answer. "
        f"*Among all*: {CHOICE} recordings, most of other effects. *Within*: the same effect at up to 25 settings.",
        "",
        "| | among all: first | mean reciprocal rank | within: first | mean reciprocal rank |",
        "|---|---:|---:|---:|---:|",
    ]
    for system, table in tables.items():
        values = [table[s][n] for s in ("across", "within") for n in ("top 1", "mean reciprocal rank")]
        lines.append(f"| {system} | " + " | ".join(f"{value:.2f}" for value in values) + " |")
    lines += [
        "",
        "## How it was set",
        "",
        "R² of each parameter of the held-out effects, read by a support-vector machine from single embeddings, cross-validated "
        "over settings and excerpts. A parameter below 0 counts as 0. Many parameters cannot be heard in one recording.",
        "",
        "| | mean over parameters | over the best parameter of each effect | parameters above 0.2 |",
        "|---|---:|---:|---:|",
    ]
    for system, table in tables.items():
        if "settings" in table:
            every = [max(0.0, r) for values in table["settings"].values() for r in values]
            best = [max(0.0, *values) for values in table["settings"].values() if values]
            above = sum(r > 0.2 for r in every)
            lines.append(f"| {system} | {statistics.mean(every):.3f} | {statistics.mean(best):.3f} | {above} of {len(every)} |")
    lines += [
        "",
        "## Six effects by one embedding",
        "",
        "The readout of `style figures`: a support-vector machine says which of MDA's six effects it was, cross-validated, from "
        "one embedding. In brackets: without the settings at which the effect changes nothing. Nobody can recognise those, and the "
        "recordings and settings of the original's figures are not known. These effects are in the training, these recordings and "
        "settings are not.",
        "",
        "| effect | the original's | " + " | ".join(tables) + " |",
        "|---|---:|" + "---:|" * len(tables),
    ]
    for name, wanted in ORIGINAL.items():
        address = f"{shipped.MDA}/{name}"
        cells = [
            f"{t['six'].get(address, float('nan')):.2f} ({t['six audible'].get(address, float('nan')):.2f})"
            for t in tables.values()
        ]
        lines.append(f"| {name} | {wanted:.2f} | " + " | ".join(cells) + " |")
    lines += ["", "## Each held-out effect", "", "R² of its parameters, in their order.", ""]
    lines += ["| effect | maker | family | style encoder | encoder for controllers |", "|---|---|---|---|---|"]
    for effect in held:
        cells = [
            " ".join(f"{max(r, 0):.2f}" for r in tables[system]["settings"].get(effect.address, [])[:12])
            for system in ("style encoder", "encoder for controllers")
        ]
        lines.append(f"| `{shipped.short_name(effect.address)}` | {effect.maker} | {effect.family} | {cells[0]} | {cells[1]} |")
    out = [row for row in rows if not row.used]
    lines += [
        "",
        "## The list of effects",
        "",
        f"{len(rows)} effects were tried: `python benchmarks/style_effects.py`. {len(rows) - len(out)} are used, by family: "
        + _counted(row.family for row in rows if row.used)
        + ". By maker: "
        + _counted(row.maker for row in rows if row.used)
        + f". {len(out)} are left out:",
        "",
        "| effect | maker | cause |",
        "|---|---|---|",
    ]
    lines += [f"| `{shipped.short_name(row.address)}` | {row.maker} | {row.left_out or 'not tried yet'} |" for row in out]
    return "\n".join(lines) + "\n"


def card(
    tables: Mapping[str, Any], effects: Sequence[ListedEffect], times: Mapping[str, float], encoder: StyleEncoder, file: Path
) -> str:
    """The model card, with the sections of Hugging Face's (M. Mitchell et al., FAT* 2019, arXiv:1810.03993)."""
    header, table, before = encoder.header, tables["style encoder"], tables["encoder for controllers"]
    met = [row for row in listed() if row.address in header["effects"]]
    held = [effect for effect in effects if effect.held]
    corpora = ", ".join(sorted({r.partition("/")[0] for r in header["recordings"]}))
    means = {
        name: statistics.mean(max(0.0, r) for values in tables[name]["settings"].values() for r in values)
        for name in ("style encoder", "encoder for controllers")
    }
    return f"""---
license: mit
library_name: blackbox-grad
tags: [audio, audio-effects, embeddings, style]
---

# Model card: style encoder

An embedding of how a recording was processed: which audio effects it went through, and how they were set. This page is generated by
`make style-encoder`, from [the measures](style-encoder.md) and the header of the weights. [How to use
it](../how-to/style-matching/encoder.md).

| | |
|---|---|
| weights | `style-encoder.safetensors` in the package, {file.stat().st_size / 1e6:.1f} MB, fingerprint `{encoder.fingerprint}` |
| input | audio of any rate, length, level and number of channels; inside, stereo windows of 2.8 s at 44.1 kHz |
| output | {encoder.latent} numbers, of length 1 |
| time | {times["style encoder"]:.1f} ms of one core for a second of audio at 44.1 kHz |
| made by | `{header["command"]}`, blackbox-grad {header["version"]} |

## Intended use

- Find recordings of a similar sound, or the effect that could have made one.
- A distance for a search of settings that is blind to what plays.
- Features for readouts: which effect, which setting.

It was not made to tell who made a recording, nor to find manipulated recordings, and is not good at it.

## Training data

{len(met)} effects of {len({row.maker for row in met})} makers, at {header["settings"]} random settings, each on two recordings:
acted Czech, electronic music and metal from Debian's packages ({corpora}), and synthetic plucks, bursts, sweeps, drums and chords.
By family: {_counted(row.family for row in met)}.
By maker: {_counted(row.maker for row in met)}.

Never met: the families {", ".join(HELD_FAMILIES)}, and all effects of {", ".join(HELD_MAKERS)}.

## Training

NT-Xent between two recordings of one style, the effect's class, its settings, and what it changed, for up to
{header["plan"]["epochs"]} epochs, on a processor; the best epoch by the loss of settings left out.
The same command gives the same weights on the same machine.

## Measures

On {len(held)} effects that it never met, and recordings that it never met:

| | style encoder | encoder for controllers |
|---|---:|---:|
| which of {len(effects)} effects: first | {table["held"]["top 1"]:.2f} | {before["held"]["top 1"]:.2f} |
| the same style among 100 recordings: first | {table["across"]["top 1"]:.2f} | {before["across"]["top 1"]:.2f} |
| the same setting of an effect among 25: first | {table["within"]["top 1"]:.2f} | {before["within"]["top 1"]:.2f} |
| R² of settings, mean over all parameters | {means["style encoder"]:.3f} | {means["encoder for controllers"]:.3f} |

## Limits

- Speech in training is Czech; in evaluation it is English, and holds nothing above 8 kHz. No orchestras, no jazz, no singing alone.
- One effect at a time. Chains of effects were not in the training.
- Dry recordings differ too: a dark voice may pass for a filtered one.
- A setting that leaves no trace cannot be read. Output gains and latencies leave none: the level is taken out.
- Audio below 44.1 kHz has nothing above half its rate, which looks like a low-pass.
- Settings were drawn uniformly over the whole range, which musicians do not do.
"""


def _counted(names: Iterable[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(names).most_common())
