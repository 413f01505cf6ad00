"""Which effects keep the promises of `Effect`: runs the conformance kit over them, and writes `docs/measured/plug-ins.md`.

    make compatibility                                    # the installed ones of benchmarks/plugin_packages.txt, and built-in ones
    make compatibility ARGS=dawdreamer:ZamTube-vst.so     # one of them again
    make compatibility-all                                # installs all packages first: some hours

Each effect is examined in its own process with a time limit: an effect that crashes or hangs becomes a row of the table. Each
result goes to `build/compatibility.json` at once, so that an interrupted run can continue.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

sys.path.insert(0, str(Path(__file__).parent))
from compatibility_page import BUILT_IN, OTHERS, page, verdict

from blackbox_grad.files import replacing
from blackbox_grad.hosts import end_with_parent

ROOT = Path(__file__).parent.parent

#: One package a line, and who needs it.
PACKAGES = ROOT / "benchmarks" / "plugin_packages.txt"

#: The facts about one effect, as JSON: address, package, failed, and if it was opened, name, parameters, dead, latency, …
Row: TypeAlias = dict[str, Any]

#: Audio for timing a render: seconds, and repetitions.
TIMED_SECONDS, TIMED_REPEATS = 1.0, 5

#: Settings at which a gradient is asked for, until one is not zero, and the samples of its audio.
GRADIENT_POINTS, GRADIENT_SAMPLES = 4, 65536


def examine(address: str, result: str, seconds: float, laws: Sequence[str] | None) -> None:
    """In its own process: check one effect law by law, and write the facts so far after every step."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    import numpy as np

    from blackbox_grad import load
    from blackbox_grad.effects import tune
    from blackbox_grad.errors import EffectLoadError
    from blackbox_grad.testing import EFFECT_LAWS, INSTRUMENT_LAWS, CheckFailed, check_effect

    row: Row = {"address": address, "during": "opening", "failed": {}, "repeatability": 0.0}

    def note(**news: Any) -> None:
        row.update(news)
        with replacing(Path(result)) as temporary:
            temporary.write_text(json.dumps(row), "utf-8")

    note()
    start = time.process_time()
    try:
        effect = load(address, parameters="all")
    except EffectLoadError as error:
        note(refused=str(error), during="")
        return
    except Exception as error:
        note(failed={"it opens": f"{type(error).__name__}: {error}"}, during="")
        return
    plays = effect.takes == "notes"
    kinds = [p.kind for p in effect.parameters]
    note(opening=time.process_time() - start, name=effect.name, notes=effect.notes)
    note(kinds={k: kinds.count(k) for k in ("continuous", "stepped", "toggle")})
    note(latency=effect.latency, layout=effect.layout, repeatability=effect.repeatability, during="timing")
    audio = np.random.default_rng(0).normal(0.0, 0.1, (2, round(TIMED_SECONDS * effect.sample_rate))).astype(np.float32)
    if plays:
        audio = tune(audio.shape[1], 2, effect.sample_rate)
    times: list[float] = []
    while len(times) < TIMED_REPEATS and sum(times) < 2.0:
        start = time.process_time()
        effect.render(audio, effect.parameters.defaults)
        times.append((time.process_time() - start) / TIMED_SECONDS)
    note(time=statistics.median(times), during="its gradient")
    try:
        note(gradient=has_gradient(effect))
    except Exception as error:
        row["failed"]["it has a gradient"] = f"{type(error).__name__}: {error}"
    for law, _ in EFFECT_LAWS + INSTRUMENT_LAWS * plays:
        if laws is not None and law not in laws:
            continue
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


def has_gradient(effect: Any) -> bool:
    """Whether a layer gives a gradient that is not zero, at the defaults or at a random point."""
    import warnings
    from dataclasses import replace

    import torch

    from blackbox_grad import SPSA, DifferentiableEffect, InProcessHost
    from blackbox_grad.effects import tune

    warnings.simplefilter("ignore")  # about parameters that are dead
    layer = DifferentiableEffect(
        replace(effect.spec, parameters="continuous"), host=InProcessHost(), estimator=SPSA(), on_nonfinite="silence"
    )
    generator = torch.Generator().manual_seed(0)
    count = len(layer.parameter_space)
    level = torch.linspace(1.0, 0.0, GRADIENT_SAMPLES) ** 3  # it falls through the thresholds of gates and compressors
    audio = 0.5 * level * torch.randn((1, 2, GRADIENT_SAMPLES), generator=generator)
    if effect.takes == "notes":
        audio = torch.from_numpy(tune(GRADIENT_SAMPLES, 2, effect.sample_rate))[None]
    for attempt in range(GRADIENT_POINTS if count else 0):
        point = torch.rand((1, count), generator=generator) * 0.6 + 0.2
        if attempt == 0:
            point = torch.as_tensor(layer.parameter_space.defaults[None], dtype=torch.float32)
        point.requires_grad_(True)
        (layer(audio, point) * torch.randn(audio.shape, generator=generator)).sum().backward()
        assert point.grad is not None
        if bool(point.grad.abs().sum() > 0):
            return True
    return False


def refusal(address: str, result: str) -> None:
    """In its own process: open an effect that ended a process, in host processes as users do, and write what they are told."""
    from blackbox_grad import EffectSpec, ProcessPool

    try:
        with ProcessPool(1, open_limit=60.0) as pool:
            pool.open(EffectSpec.of(address, parameters="all"))
    except Exception as error:
        Path(result).write_text(f"{type(error).__name__}: {error}", "utf-8")


def tied(line: Connection, function: Any, *arguments: Any) -> None:
    """In its own process: call a function, and end as soon as the examiner ends, also if that is killed."""
    end_with_parent(line.fileno())
    function(*arguments)


class Examiner:
    """Runs `examine` in processes, each a copy of one that has loaded the libraries."""

    def __init__(self, time_limit: float, seconds: float, laws: Sequence[str] | None) -> None:
        self.time_limit, self.seconds, self.laws = time_limit, seconds, laws
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["numpy", "torch", "blackbox_grad.layer", "blackbox_grad.testing"])

    def __call__(self, address: str) -> Row:
        """The row of one effect, also if the process that examines it crashes or hangs."""
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            result, sentence = Path(folder) / "row.json", Path(folder) / "refusal.txt"
            ending = self._run(examine, self.time_limit, address, str(result), self.seconds, self.laws)
            row: Row = json.loads(result.read_text("utf-8")) if result.exists() else {"address": address, "failed": {}}
            during = row.pop("during", "starting")
            if during == "opening":
                self._run(refusal, 3 * 60.0, address, str(sentence))
                if sentence.exists():
                    row["refused"] = sentence.read_text("utf-8")
        if during and "refused" not in row:
            row["failed"][f"it lives through {during}"] = f"its process {ending or 'ended'} during {during}"
        elif ending:  # everything was examined; a crash at the end of the process does no harm
            row["ending"] = ending
        return row | {"took": round(time.monotonic() - start, 1)}

    def _run(self, function: Any, time_limit: float, *arguments: Any) -> str:
        """How the process ended: empty if well."""
        reading, writing = self._context.Pipe(duplex=False)
        with reading, writing:  # the other end of the process's lifeline is here, and nowhere else
            return self._ending(self._context.Process(target=tied, args=(reading, function, *arguments)), time_limit)

    def _ending(self, process: Any, time_limit: float) -> str:
        process.start()
        process.join(time_limit)
        if process.is_alive():
            process.kill()
            process.join()
            return f"was not done after {time_limit:g} s"
        code = process.exitcode or 0
        return f"crashed ({signal.Signals(-code).name})" if code < 0 else ""


def installed() -> dict[str, str]:
    """Address of every effect on the page -> its package, in the order of the page."""
    from blackbox_grad.inspection import scan

    owners = _owners()
    found = {}
    for effect in scan():
        if effect.status != "listed":
            continue
        package = BUILT_IN if effect.backend == "pedalboard-builtin" else _package(effect.address, owners)
        if package:
            found[effect.address] = package
    order = [BUILT_IN, *packages(), OTHERS]
    return dict(sorted(found.items(), key=lambda pair: (order.index(pair[1]), pair[0].lower())))


def packages(mark: str | None = None) -> list[str]:
    """The packages of the list; only those with a mark, "tests" or "ci"."""
    lines = [line.split() for line in PACKAGES.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return [name for name, *marks in lines if mark is None or mark in marks]


def _package(address: str, owners: dict[str, str]) -> str:
    from blackbox_grad.effects import backend

    name, _, locator = address.partition(":")
    find = getattr(backend(name), "file", None)
    file = find(locator) if find is not None else None
    return "" if file is None else owners.get(os.path.realpath(file), OTHERS)


@functools.cache
def _owners() -> dict[str, str]:
    """Installed file or folder -> the package that it comes from."""
    found = {}
    for package in packages():
        try:
            listing = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True, check=False).stdout
        except FileNotFoundError:  # no Debian
            return {}
        for line in listing.splitlines():
            if line.endswith((".lv2", ".vst3", ".so", ".vst")) or "/lv2/" in line:
                found[os.path.realpath(line)] = package
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("addresses", nargs="*", help="effects to examine again; by default all installed ones without a result")
    parser.add_argument("--again", action="store_true", help="also examine effects with a result")
    parser.add_argument("--failing", action="store_true", help="also examine effects that failed")
    parser.add_argument("--packages", help="only effects of these packages, separated by commas")
    parser.add_argument("--jobs", type=int, default=2, help="effects at a time (default: %(default)s)")
    parser.add_argument("--time-limit", type=float, default=300.0, help="seconds for one effect (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=0.25, help="length of the test signal (default: %(default)s)")
    parser.add_argument("--laws", help="only these laws, separated by commas")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "measured" / "plug-ins.md")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "compatibility.json")
    arguments = parser.parse_args()
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    results: dict[str, Row] = json.loads(arguments.results.read_text("utf-8")) if arguments.results.exists() else {}
    known = installed()
    if arguments.packages:
        known = {address: package for address, package in known.items() if package in arguments.packages.split(",")}
    wanted = arguments.addresses or [
        a for a in known if arguments.again or a not in results or (arguments.failing and verdict(results[a]) == "fails")
    ]
    print(f"{len(wanted)} effects to examine; {len(set(results) - set(wanted))} results are known (--again: examine all)")
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    examined = Examiner(arguments.time_limit, arguments.seconds, arguments.laws.split(",") if arguments.laws else None)
    # as in a host process
    tunables = [os.environ.get("GLIBC_TUNABLES", ""), "glibc.malloc.tcache_count=0"]
    os.environ["GLIBC_TUNABLES"] = ":".join(filter(None, tunables))
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns) as progress, ThreadPoolExecutor(arguments.jobs) as pool:
        task = progress.add_task("", total=len(wanted))
        try:
            futures = [pool.submit(examined, address) for address in wanted]
            for future in as_completed(futures):
                row = future.result()
                address = row["address"]
                progress.update(task, description=address, advance=1)
                results[address] = row | {"package": known.get(address, OTHERS)}
                with replacing(arguments.results) as temporary:
                    temporary.write_text(json.dumps(results, indent=1), "utf-8")
                for reason in (*row["failed"].values(), row.get("refused", "")):
                    if reason:
                        progress.console.print(f"{address}: {reason}", markup=False)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    order = {address: i for i, address in enumerate(known)}
    rows = sorted(results.values(), key=lambda r: (order.get(r["address"], len(order)), r["address"]))
    with replacing(arguments.page) as temporary:
        temporary.write_text(page(rows, len(set(known) - set(results))), "utf-8")
    passed, failing = ([r for r in rows if verdict(r) == what] for what in ("passes", "fails"))
    print(f"{len(passed)} of {len(rows)} pass; written: {arguments.page}")
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
