"""The page of `make compatibility`, `docs/measured/plug-ins.md`."""

from __future__ import annotations

import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

BUILT_IN, OTHERS = "Pedalboard's own effects", "Others"

#: Refusals of what is installed beside effects.
_NO_EFFECT = re.compile(r"\bis (an instrument|a generator|an analyser)\b[^.]*, not an effect")


def verdict(row: Row) -> str:
    """One of "passes", "not repeatable", "fails", "refused", or "no effect" for an instrument, a generator or an analyser."""
    if row["failed"]:
        return "not repeatable" if set(row["failed"]) == {"it repeats"} else "fails"
    if "refused" not in row:
        return "passes"
    return "no effect" if _NO_EFFECT.search(row["refused"]) else "refused"


def page(rows: list[Row], left: int = 0) -> str:
    """The page in Markdown. `left`: how many installed effects have no result yet."""
    effects = [r for r in rows if verdict(r) != "no effect"]
    counts = _counts(effects)
    versions = ", ".join(f"{name} {version(name)}" for name in ("blackbox-grad", "pedalboard", "dawdreamer"))
    lines = [
        "# Plug-ins",
        "",
        f"**{counts['passes']} of {len(effects)} effects keep every promise**, {counts['opens']} open. "
        f"Of {counts['continuous']} with continuous parameters, {counts['gradient']} have a gradient. "
        f"{counts['noisy']} work and are not repeatable, {counts['refused']} are refused with a reason"
        + (" ([the reasons](#refused))" if counts["refused"] else "")
        + f", {counts['fails']} fail"
        + (" ([why](#why-the-others-fail))." if counts["fails"] else "."),
        *([f"The run goes on: {left} installed effects have no result yet."] if left else []),
        "",
        "This page is generated: `make compatibility-all` opens every effect of the Debian packages in "
        "`benchmarks/plugin_packages.txt`, in every format and host, and every effect of Pedalboard, and runs "
        "`blackbox_grad.testing.check_effect` on each, in a process of its own with a time limit. "
        f"{versions}; Python {platform.python_version()}, {platform.system()} {platform.machine()}.",
        "",
        "- *repeatability*: largest relative error between renders that should be equal, after any history; 0 is bit-equal. "
        "From 0.1 on an effect is *not repeatable*: it plays with random numbers that no host can reset.",
        "- *parameters*: continuous + stepped + toggles; VST2 reports no steps, so its parameters are all "
        "continuous. *Inaudible*: how many never changed the test signal; often a switch holds them off.",
        "- *latency*: samples that `render` takes out.",
        "- *layout*: channels of the plug-in; [the rule](../how-to/channels-and-side-chains.md) fits all others to them. "
        "An instrument has *notes in*, is examined with a tune in place of noise, and by the laws of instruments too.",
        "- *time*: of the processor, for one second of stereo audio at 44.1 kHz; the median of five renders.",
        "- *gradient*: whether `DifferentiableEffect` gives one that is not zero, at the defaults or at a random point.",
        "",
        "| | effects | open | pass | bit-equal | gradient | refused |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    titles = {row["address"]: _title(row) for row in rows}
    sections = {title: [r for r in effects if titles[r["address"]] == title] for title in dict.fromkeys(titles.values())}
    for title, found in sections.items():
        c = _counts(found)
        if found:
            cells = (len(found), c["opens"], c["passes"], c["equal"], c["gradient"], c["refused"])
            lines.append(f"| {title} | {' | '.join(map(str, cells))} |")
    cells = (len(effects), counts["opens"], counts["passes"], counts["equal"], counts["gradient"], counts["refused"])
    lines.append(f"| **all** | {' | '.join(map(str, cells))} |")
    head = "| effect | verdict | repeatability | parameters | latency | layout | time | gradient |"
    for title, found in sections.items():
        opened = [r for r in found if verdict(r) != "refused"]
        if opened:
            lines += ["", f"## {title}", "", head, "|---|---|---:|---|---:|---|---:|---|", *map(_line, opened)]
    lines += _refused(effects) + _no_effects(rows)
    failing = [r for r in rows if verdict(r) == "fails"]
    if failing:
        lines += ["", "## Why the others fail"]
    for row in failing:
        lines += ["", f"### `{row['address']}`", ""]
        lines += [f"- *{law}*: {_cell(reason)}" for law, reason in row["failed"].items()]
    return "\n".join(lines) + "\n"


def _counts(rows: list[Row]) -> dict[str, int]:
    verdicts = [verdict(r) for r in rows]
    good = [r for r in rows if verdict(r) == "passes"]
    return {
        "opens": sum("name" in r for r in rows),
        "passes": len(good),
        "equal": sum(r["repeatability"] == 0.0 for r in good),
        "gradient": sum(bool(r.get("gradient")) for r in rows),
        "continuous": sum(bool(r["kinds"]["continuous"]) for r in rows if "kinds" in r),
        "noisy": verdicts.count("not repeatable"),
        "refused": verdicts.count("refused"),
        "fails": verdicts.count("fails"),
    }


def _title(row: Row) -> str:
    """Package, format and host: "zam-plugins: VST3 in Pedalboard"."""
    backend, _, locator = row["address"].partition(":")
    package = row.get("package", OTHERS)
    if package in (BUILT_IN, OTHERS) or backend not in ("pedalboard", "dawdreamer"):
        return str(package)
    kind = "VST3" if locator.endswith(".vst3") else "LV2" if re.match(r"\w+:", locator) else "VST2"
    return f"{package}: {kind} in {'Pedalboard' if backend == 'pedalboard' else 'DawDreamer'}"


def _refused(rows: list[Row]) -> list[str]:
    """One line for each reason, with the effects that it is given for."""
    reasons: dict[str, list[str]] = {}
    for row in rows:
        if verdict(row) == "refused":
            reason = row["refused"].replace(row["address"], "…")
            reasons.setdefault(_cell(reason), []).append(row["address"])
    if not reasons:
        return []
    lines = ["", "## Refused", "", "Opening says why, in one sentence; nothing crashes.", ""]
    return lines + [f"- {', '.join(f'`{_short(a)}`' for a in addresses)}: {reason}" for reason, addresses in reasons.items()]


def _no_effects(rows: list[Row]) -> list[str]:
    found = [f"`{_short(r['address'])}`" for r in rows if verdict(r) == "no effect"]
    if not found:
        return []
    text = f"These are instruments, generators or analysers, and are not examined here: {', '.join(found)}."
    return ["", "## No effects", "", text]


def _short(address: str) -> str:
    return re.split(r"[/:]", address)[-1]


def _line(row: Row) -> str:
    effect = _short(row["address"])
    passes = verdict(row) if verdict(row) in ("passes", "not repeatable") else "**fails**"
    if "name" not in row:
        return f"| `{effect}` | {passes} | | | | | | |"
    parameters = " + ".join(str(row["kinds"][k]) for k in ("continuous", "stepped", "toggle"))
    if dead := row.get("dead"):
        parameters += f"; {len(dead)} inaudible"
    milliseconds = 1e3 * row["time"] if "time" in row else None
    time_ = "" if milliseconds is None else f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"
    repeatability = f"{row['repeatability']:.1g}"
    gradient = "yes" if row.get("gradient") else "no" if row["kinds"]["continuous"] else ""
    cells = (passes, repeatability, parameters, row["latency"], row["layout"], time_, gradient)
    return f"| `{effect}` | {' | '.join(map(str, cells))} |"


def _cell(text: str) -> str:
    """Text that fits into a table cell and names no folder of this machine."""
    short = re.sub(r"\s+", " ", text.replace(str(Path.home()), "~"))[:500]
    return short.replace("|", "\\|").replace("<", "&lt;")
