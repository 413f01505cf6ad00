"""Which effects keep the promises of `Effect`: runs the conformance kit over them, and writes `docs/measured/plug-ins.md`.

    make compatibility                                    # mda-lv2, zam-plugins and Pedalboard's own effects
    make compatibility ARGS=dawdreamer:ZamTube-vst.so     # one of them again

Each effect is examined in its own process with a time limit: an effect that crashes or hangs becomes a row of the table. Each
result goes to `build/compatibility.json` at once, so that an interrupted run can continue.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from blackbox_grad.files import replacing

ROOT = Path(__file__).parent.parent

#: The facts about one effect, as JSON: address, verdict, failed, and if it was opened, name, parameters, dead, latency, …
Row: TypeAlias = dict[str, Any]

#: title of a section -> the addresses that belong to it
SECTIONS = {
    "Pedalboard's own effects": r"pedalboard-builtin:",
    "mda-lv2: LV2 in DawDreamer": r"dawdreamer:http://drobilla\.net/plugins/mda/",
    "zam-plugins: VST3 in Pedalboard": r"pedalboard:Za[mM]\w+\.vst3$",
    "zam-plugins: VST3 in DawDreamer": r"dawdreamer:Za[mM]\w+\.vst3$",
    "zam-plugins: VST2 in DawDreamer": r"dawdreamer:Za[mM]\w+-vst\.\w+$",
    "zam-plugins: LV2 in DawDreamer": r"dawdreamer:urn:zamaudio:",
}

#: Audio for timing a render: seconds, and repetitions.
TIMED_SECONDS, TIMED_REPEATS = 1.0, 5


def examine(address: str, result: Path, seconds: float) -> None:
    """In its own process: check one effect law by law, and write the facts so far after every step."""
    import numpy as np

    from blackbox_grad import load
    from blackbox_grad.testing import EFFECT_LAWS, CheckFailed, check_effect

    row: Row = {"address": address, "during": "opening", "failed": {}, "repeatability": 0.0}

    def note(**news: Any) -> None:
        row.update(news)
        with replacing(result) as temporary:
            temporary.write_text(json.dumps(row), "utf-8")

    note()
    try:
        effect = load(address, parameters="all")
    except Exception as error:
        note(failed={"it opens": f"{type(error).__name__}: {error}"}, during="")
        return
    kinds = [p.kind for p in effect.parameters]
    note(name=effect.name, kinds={k: kinds.count(k) for k in ("continuous", "stepped", "toggle")})
    note(latency=effect.latency, layout=effect.layout, repeatability=effect.repeatability, during="timing")
    audio = np.random.default_rng(0).normal(0.0, 0.1, (2, round(TIMED_SECONDS * effect.sample_rate))).astype(np.float32)
    times: list[float] = []
    while len(times) < TIMED_REPEATS and sum(times) < 10.0:
        start = time.process_time()
        effect.render(audio, effect.parameters.defaults)
        times.append((time.process_time() - start) / TIMED_SECONDS)
    note(time=statistics.median(times))
    for law, _ in EFFECT_LAWS:
        note(during=f"the law {law!r}")
        try:
            found = check_effect(effect, laws=[law], seconds=seconds)
        except CheckFailed as error:
            row["failed"][law] = str(error).partition(" is broken: ")[2]
        except Exception as error:
            row["failed"][law] = f"{type(error).__name__}: {error}"
        else:
            row["repeatability"] = max(row["repeatability"], found.repeatability)
            if found.dead:
                row["dead"] = found.dead
    note(during="")


def examined(address: str, time_limit: float, seconds: float) -> Row:
    """The row of one effect, also if the process that examines it crashes or hangs."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "row.json"
        command = [sys.executable, __file__, "--examine", address, str(result), "--seconds", str(seconds)]
        start = time.monotonic()
        ending = ""
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=time_limit
            )
            if done.returncode < 0:
                ending = f"crashed ({signal.Signals(-done.returncode).name})"
        except subprocess.TimeoutExpired:
            ending = f"was not done after {time_limit:g} s"
        row: Row = json.loads(result.read_text("utf-8")) if result.exists() else {"address": address, "failed": {}}
    if during := row.pop("during", "starting"):
        row["failed"][f"it lives through {during}"] = f"its process {ending or 'ended'} during {during}"
    elif ending:  # everything was examined; a crash at the end of the process does no harm
        row["ending"] = ending
    return row | {"took": round(time.monotonic() - start, 1)}


def installed() -> list[str]:
    """Addresses of all effects on the page, in the order of its sections."""
    from blackbox_grad.inspection import scan

    addresses = [found.address for found in scan() if found.status == "listed"]
    return [a for pattern in SECTIONS.values() for a in sorted(addresses, key=str.lower) if re.match(pattern, a)]


def page(rows: list[Row]) -> str:
    """The page in Markdown."""
    passed = [r for r in rows if not r["failed"]]
    versions = ", ".join(f"{name} {version(name)}" for name in ("blackbox-grad", "pedalboard", "dawdreamer"))
    lines = [
        "# Plug-ins",
        "",
        f"**{len(passed)} of {len(rows)} effects keep every promise.**"
        + ("" if len(passed) == len(rows) else " [Why the others fail](#why-the-others-fail)."),
        "",
        "This page is generated: `make compatibility` opens every effect of Debian's `mda-lv2` and `zam-plugins`, in every "
        "format and host, and every effect of Pedalboard, and runs `blackbox_grad.testing.check_effect` on each, in a process "
        f"of its own with a time limit. {versions}; Python {platform.python_version()}, {platform.system()} {platform.machine()}.",
        "",
        "- *repeatability*: largest relative error between renders that should be equal, after any history; 0 is bit-equal.",
        "- *parameters*: continuous + stepped + toggles; VST2 reports no steps, so its parameters are all "
        "continuous. *Inaudible* ones never changed the test signal.",
        "- *latency*: samples that the plug-in reports and `render` takes out.",
        "- *time*: of the processor, for one second of stereo audio at 44.1 kHz; the median of five renders.",
        "",
        "| | effects | pass | bit-equal |",
        "|---|---:|---:|---:|",
    ]
    sections = [(title, [r for r in rows if re.match(pattern, r["address"])]) for title, pattern in SECTIONS.items()]
    others = [r for r in rows if not any(r in found for _, found in sections)]
    sections = [(title, found) for title, found in [*sections, ("Others", others)] if found]
    for title, found in sections:
        good = [r for r in found if not r["failed"]]
        equal = sum(r["repeatability"] == 0.0 for r in good)
        lines.append(f"| {title} | {len(found)} | {len(good)} | {equal} |")
    for title, found in sections:
        lines += ["", f"## {title}", "", "| effect | verdict | repeatability | parameters | latency | layout | time |"]
        lines += ["|---|---|---:|---|---:|---|---:|", *(_line(row) for row in found)]
    failing = [r for r in rows if r["failed"]]
    if failing:
        lines += ["", "## Why the others fail"]
    for row in failing:
        lines += ["", f"### `{row['address']}`", ""]
        lines += [f"- *{law}*: {_cell(reason)}" for law, reason in row["failed"].items()]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    address = row["address"]
    effect = re.split(r"[/:]", address)[-1]
    verdict = "passes" if not row["failed"] else "**fails**"
    if "name" not in row:
        return f"| `{effect}` | {verdict} | | | | | |"
    parameters = " + ".join(str(row["kinds"][k]) for k in ("continuous", "stepped", "toggle"))
    if dead := row.get("dead"):
        parameters += f"; inaudible: {_cell(', '.join(dead))}"
    milliseconds = 1e3 * row["time"] if "time" in row else None
    time_ = "" if milliseconds is None else f"{milliseconds:.0f} ms" if milliseconds >= 10 else f"{milliseconds:.2g} ms"
    repeatability = f"{row['repeatability']:.1g}"
    return f"| `{effect}` | {verdict} | {repeatability} | {parameters} | {row['latency']} | {row['layout']} | {time_} |"


def _cell(text: str) -> str:
    """Text that fits into a table cell and names no folder of this machine."""
    short = re.sub(r"\s+", " ", text.replace(str(Path.home()), "~"))[:500]
    return short.replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("addresses", nargs="*", help="effects to examine again; by default all installed ones without a result")
    parser.add_argument("--again", action="store_true", help="also examine effects with a result")
    parser.add_argument("--time-limit", type=float, default=300.0, help="seconds for one effect (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.25, help="length of the test signal (default: %(default)s)")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "measured" / "plug-ins.md")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "compatibility.json")
    parser.add_argument("--examine", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.examine:
        examine(arguments.examine[0], Path(arguments.examine[1]), arguments.seconds)
        return 0
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    results: dict[str, Row] = json.loads(arguments.results.read_text("utf-8")) if arguments.results.exists() else {}
    wanted = arguments.addresses or [a for a in installed() if arguments.again or a not in results]
    print(f"{len(wanted)} effects to examine; {len(set(results) - set(wanted))} results are known (--again: examine all)")
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns) as progress:
        task = progress.add_task("", total=len(wanted))
        for address in wanted:
            progress.update(task, description=address)
            results[address] = row = examined(address, arguments.time_limit, arguments.seconds)
            with replacing(arguments.results) as temporary:
                temporary.write_text(json.dumps(results, indent=1), "utf-8")
            for reason in row["failed"].values():
                progress.console.print(f"{address}: {reason}", markup=False)
            progress.advance(task)
    order = {address: i for i, address in enumerate(installed())}
    rows = sorted(results.values(), key=lambda r: (order.get(r["address"], len(order)), r["address"]))
    with replacing(arguments.page) as temporary:
        temporary.write_text(page(rows), "utf-8")
    passed = sum(not row["failed"] for row in rows)
    print(f"{passed} of {len(rows)} pass; written: {arguments.page}")
    return 0 if passed == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
