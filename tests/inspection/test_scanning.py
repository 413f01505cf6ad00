"""Scanning lists the installed effects. A plug-in that crashes, hangs or floods its output costs only its time limit."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox_grad.effects import backend
from blackbox_grad.inspection import Scanned, scan

#: A third party's backend with the worst plug-ins there are. They misbehave in C, where Python cannot help.
NASTY = """
import ctypes, os
from pathlib import Path
from blackbox_grad.effects import PluginEffect
from blackbox_grad.parameters import Parameter, ParameterSpace

FOLDER = Path({folder!r})

class Quiet(PluginEffect):
    name, inputs, outputs, sample_rate = "Quiet", 1, 1, 44100.0
    parameters = ParameterSpace([Parameter("A"), Parameter("B", "toggle")])

    def process(self, audio, values):
        return audio

class Backend:
    def open(self, locator, sample_rate, options):
        with open(FOLDER / "opened", "a") as log:
            log.write(locator + "\\n")
        if locator == "crash":
            ctypes.string_at(0)
        if locator == "exit":
            os._exit(3)
        if locator == "hang":
            ctypes.PyDLL(None).sleep(1000)  # with the interpreter locked
        if locator == "flood":
            line = b"x" * 65536 + b"\\n"
            for _ in range(512):
                os.write(1, line), os.write(2, line)
        if locator == "raise":
            raise RuntimeError("no licence")
        return Quiet()

    def claims(self, locator):
        return 0.0

    def scan(self):
        return iter((FOLDER / "installed").read_text().split())

    def file(self, locator):
        return FOLDER / "plugin" if locator in ("fine", "crash") else None

class Broken(Backend):
    def scan(self):
        raise OSError("the folder is on fire")
"""

ENTRY_POINTS = """
[blackbox_grad.backends]
nasty = nasty_plugins:Backend
broken = nasty_plugins:Broken
absent = nasty_plugins_that_are_not_there:Backend
"""


@pytest.fixture
def nasty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An installed distribution, for this process and its hosts, and an empty cache. Its plug-ins are named in `installed`."""
    (tmp_path / "nasty_plugins.py").write_text(NASTY.format(folder=str(tmp_path)))
    (tmp_path / "plugin").write_text("version 1")
    (tmp_path / "installed").write_text("crash exit fine flood hang raise")
    info = tmp_path / "nasty_plugins-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nasty-plugins\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HOME", str(tmp_path))
    yield tmp_path
    backend.cache_clear()
    sys.modules.pop("nasty_plugins", None)


def opened(folder: Path) -> list[str]:
    log = folder / "opened"
    lines = log.read_text().split() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def test_listing_opens_nothing(nasty: Path) -> None:
    rows = list(scan(backend="nasty"))
    assert [row.address for row in rows] == [f"nasty:{n}" for n in ("crash", "exit", "fine", "flood", "hang", "raise")]
    assert {row.status for row in rows} == {"listed"}
    assert opened(nasty) == []


def test_all_backends_are_listed_and_those_that_fail_are_named(nasty: Path) -> None:
    rows = list(scan())
    assert "reference:gain" in [row.address for row in rows]
    reasons = {row.backend: row.reason for row in rows if row.status == "unavailable"}
    assert "nasty_plugins_that_are_not_there, which is not installed" in reasons["absent"]
    assert reasons["broken"] == "OSError: the folder is on fire"


def test_a_check_survives_the_worst_plugins(nasty: Path) -> None:
    rows = {row.address.partition(":")[2]: row for row in scan(check=True, time_limit=2.0, backend="nasty")}
    assert {name: row.status for name, row in rows.items()} == {
        "crash": "failed", "exit": "failed", "fine": "ok", "flood": "ok", "hang": "failed", "raise": "failed",
    }  # fmt: skip
    assert (rows["fine"].name, rows["fine"].parameters) == ("Quiet", 2)
    assert "SIGSEGV" in rows["crash"].reason
    assert "exit code 3" in rows["exit"].reason
    assert "time limit of 2 s" in rows["hang"].reason
    assert "no licence" in rows["raise"].reason


def test_a_check_is_remembered_until_the_file_changes(nasty: Path) -> None:
    def check(**options: bool) -> dict[str, Scanned]:
        return {row.address: row for row in scan(check=True, backend="nasty", **options)}

    (nasty / "installed").write_text("crash fine raise")
    first = check()
    opened(nasty)
    again = check()
    assert [again[f"nasty:{n}"] for n in ("fine", "crash")] == [first[f"nasty:{n}"] for n in ("fine", "crash")]
    assert set(opened(nasty)) == {"raise"}  # one without a file is opened every time
    (nasty / "plugin").write_text("version 2, longer")
    check()
    assert {"fine", "crash"} <= set(opened(nasty))
    check(rescan=True)
    assert {"fine", "crash"} <= set(opened(nasty))


def test_a_failure_that_may_be_the_machines_is_forgotten(nasty: Path) -> None:
    (nasty / "installed").write_text("hang")
    for _ in range(2):
        assert [row.status for row in scan(check=True, time_limit=1.0, backend="nasty")] == ["failed"]
        assert "hang" in opened(nasty)


def test_a_check_without_a_cache_folder_works(nasty: Path) -> None:
    (nasty / "cache").write_text("a file where the folder should be")
    (nasty / "installed").write_text("fine")
    assert [row.status for row in scan(check=True, backend="nasty")] == ["ok"]


def hosts() -> set[str]:
    """Process ids of this process's hosts; none where there is no /proc."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    pids = children.read_text().split() if children.exists() else []
    return {pid for pid in pids if "worker.main()" in Path(f"/proc/{pid}/cmdline").read_text()}


def test_giving_up_a_check_leaves_no_host_behind(nasty: Path) -> None:
    before = hosts()
    rows = scan(check=True, time_limit=3600.0, backend="nasty")  # one of them hangs for as long
    assert next(rows).status == "failed"
    rows.close()
    assert hosts() <= before


@pytest.mark.plugins
def test_installed_plugins_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from blackbox_grad_backends.native import plugin_folders

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    delay = plugin_folders.find("ZamDelay.vst3", "vst3")
    assert delay is not None
    (tmp_path / "vst3").mkdir()
    (tmp_path / "vst3" / delay.name).symlink_to(delay)
    (tmp_path / "vst3" / "Broken.vst3").write_bytes(b"no plug-in at all")
    monkeypatch.setenv("VST3_PATH", str(tmp_path / "vst3"))
    rows = {row.address: row for row in scan(check=True, time_limit=60.0, backend="pedalboard")}
    assert rows["pedalboard:ZamDelay.vst3"].name == "ZamDelay"
    assert rows["pedalboard:ZamDelay.vst3"].parameters
    assert rows["pedalboard:Broken.vst3"].status == "failed"
    monkeypatch.setattr(sys, "executable", "")  # no host can be started
    assert {row.address: row for row in scan(check=True, backend="pedalboard")} == rows
