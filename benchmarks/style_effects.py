"""Opens each effect of the style encoder's list, and writes what it found into the list.

    python benchmarks/style_effects.py                 # the rows without a result
    python benchmarks/style_effects.py zam calf        # those whose address contains one of these, again

Each effect is opened in a process of its own, with time limits, and rendered at random settings on dry excerpts. It is left out if
it cannot be opened, takes too long, gives other results the second time, or hardly ever changes the sound. The free parameters
are the continuous ones; if those change little, switches and stepped ones too, except bypass and the like.
"""

from __future__ import annotations

import argparse
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from blackbox_grad import Host, ProcessPool
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad_adapters.style_matching.data import effect_list
from blackbox_grad_adapters.style_matching.data.dry_pool import LENGTH, RATE, DryPool
from blackbox_grad_adapters.style_matching.data.effect_list import ListedEffect
from blackbox_grad_adapters.style_matching.data.style_examples import AUDIBLE, rendered

#: Seconds: for opening, and for one render.
OPENING, RENDERING = 60.0, 10.0

#: An effect is left out from so many milliseconds a render, or so many parameters.
SLOW, MANY = 450.0, 48

#: Random settings, and the least share of them that must be kept and audible.
SETTINGS, LEAST = 8, 0.25

#: Switches are drawn too if fewer settings than this are audible.
ENOUGH = 0.6

NOT_DRAWN = re.compile(
    r"bypass|mute|solo|listen|enable|^on\b|power|freeze|midi|tempo|bpm|sync|analy|graph|pause|hold|reset", re.I
)


def examined(effect: ListedEffect, pool: DryPool, host: Host) -> ListedEffect:
    """The row with its facts."""
    row = replace(effect, parameters="", audible="", milliseconds="", left_out="")
    try:
        parameters = list(host.open(row.spec(RATE)).parameters)
        drawn = [p for p in parameters if not NOT_DRAWN.search(p.name)]
        found = _tried(row, pool, host, [p.name for p in drawn if p.kind == "continuous"])
        if float(found.audible or 0) < ENOUGH and len(drawn) <= MANY:
            other = _tried(row, pool, host, [p.name for p in drawn])
            if not other.left_out and float(other.audible or 0) > float(found.audible or 0) + 0.1:
                return other
        return found
    except BlackboxGradError as error:
        reason = re.sub(r"/\S*/", "", str(error)).splitlines()[0].replace(effect.address, "").strip(": ")
        return replace(row, left_out=reason[:160])


def _tried(row: ListedEffect, pool: DryPool, host: Host, names: list[str]) -> ListedEffect:
    if not names:
        return replace(row, left_out="no parameters")
    if len(names) > MANY:
        return replace(row, left_out=f"{len(names)} parameters")
    chosen, spec = replace(row, parameters="|".join(names)), row.spec(RATE)
    x = np.array(pool.audio[:2])
    p = np.tile(host.open(spec).parameters.defaults, (2, 1))
    first, _ = host.render_batch(spec, x, p)
    start = time.perf_counter()
    again, _ = host.render_batch(spec, x, p)
    milliseconds = (time.perf_counter() - start) * 500
    chosen = replace(chosen, milliseconds=f"{milliseconds:.0f}")
    if milliseconds > SLOW:
        return replace(chosen, left_out=f"slow: {milliseconds:.0f} ms for {LENGTH / RATE:.1f} s of audio")
    if not np.array_equal(first, again, equal_nan=True):
        return replace(chosen, left_out="not repeatable: a second render differs")
    wet = rendered(host, spec, names, pool, range(SETTINGS), np.random.default_rng(1))
    audible = float(((wet.change.amin(dim=1) > AUDIBLE) & wet.kept).float().mean())
    chosen = replace(chosen, audible=f"{audible:.2f}")
    if audible < LEAST:
        reason = "silence or noise" if float(wet.kept.float().mean()) < LEAST + 0.1 else "no audible change"
        return replace(chosen, left_out=f"{reason} at most random settings")
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("addresses", nargs="*", help="parts of addresses to examine again; by default rows without a result")
    parser.add_argument("--runs", type=Path, default=Path("runs/style-encoder"), help="folder of the dry excerpts")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pool = DryPool("validate", arguments.runs, 240)
    pool.build()
    rows = effect_list.listed()
    for i, row in enumerate(rows):
        wanted = any(part.lower() in row.address.lower() for part in arguments.addresses)
        if not (wanted or (not arguments.addresses and not row.parameters and not row.left_out)):
            continue
        with ProcessPool(1, time_limit=RENDERING, open_limit=OPENING) as host:
            rows[i] = examined(row, pool, host)
        print(i, row.address, rows[i].left_out or f"{rows[i].audible} audible, {rows[i].milliseconds} ms", flush=True)
        effect_list.write(rows)
    used = [row for row in rows if row.used]
    print(f"{len(used)} of {len(rows)} effects are used, {sum(row.held for row in used)} of them held out")


if __name__ == "__main__":
    main()
