"""Builds VST3 instruments for the tests, as Debian ships none: `python tests/native_plugins/build.py`, into `build/native_plugins`.

They are Kars, a Karplus-Strong synthesiser, and Late Organ, the tests' own (`late_organ/`), which has what Kars has not: latency,
two outputs, and controllers that outlive a reset. Both need DPF, the DISTRHO Plugin Framework. It comes with Kars from Debian's
source package dpf-plugins, which apt downloads (57 MB) and checks; nothing of it is kept in this repository. DPF and Kars have the
ISC licence (Filipe Coelho; Kars after karplong by Chris Cannam).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
BUILT = HERE.parent.parent / "build" / "native_plugins"

KARS, LATE_ORGAN = BUILT / "Kars.vst3", BUILT / "LateOrgan.vst3"

PACKAGE = "dpf-plugins"

#: Nothing that draws, and no other kind of plug-in's libraries.
_WITHOUT = [f"HAVE_{what}=false" for what in ("OPENGL", "DGL", "CAIRO", "VULKAN", "JACK", "LIBLO")]

_DEBIAN_KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg"


class CannotBuildError(Exception):
    """Says what is missing."""


def build() -> None:
    """Build what is not there yet.

    Raises:
        CannotBuildError: no apt, compiler or network.
    """
    if all(plugin.exists() and plugin.stat().st_mtime >= _newest_source() for plugin in (KARS, LATE_ORGAN)):
        return
    if missing := [tool for tool in ("apt-get", "make", "g++", "tar") if shutil.which(tool) is None]:
        raise CannotBuildError(f"building VST3 instruments needs {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _unpack(_download(work), work)
        shutil.copytree(HERE / "late_organ", work / "plugins" / "late_organ")
        BUILT.mkdir(parents=True, exist_ok=True)
        for project, plugin in (("Kars", KARS), ("late_organ", LATE_ORGAN)):
            _run(["make", "-C", f"plugins/{project}", "vst3", *_WITHOUT], work)
            shutil.rmtree(plugin, ignore_errors=True)
            shutil.copytree(work / "bin" / plugin.name, plugin)


def _newest_source() -> float:
    return max(file.stat().st_mtime for file in (HERE / "late_organ").iterdir())


def _download(work: Path) -> Path:
    """Debian's archive of the original source, from where this machine gets its packages."""
    listed = _run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"], work)
    keys = f"[signed-by={_DEBIAN_KEYS}] " if Path(_DEBIAN_KEYS).exists() else ""
    lines = [line for line in sorted(set(listed.splitlines())) if line.split()[2:] in (["main"], ["universe"])]
    lines = [line for line in lines if not line.split()[1].endswith(("-security", "-updates", "-backports", "-proposed"))]
    (work / "sources.list").write_text("".join(f"deb-src {keys}{line}\n" for line in lines))
    for part in ("lists/partial", "cache/archives/partial"):
        (work / part).mkdir(parents=True)
    places = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::Lists": work / "lists",
        "Dir::Cache": work / "cache",
    }
    apt = ["apt-get", "-qq", *(f"-o{key}={value}" for key, value in places.items())]
    _run([*apt, "update"], work)
    _run([*apt, "source", "--download-only", "--tar-only", PACKAGE], work)
    found = sorted(work.glob(f"{PACKAGE}_*.orig.tar.*"))
    if not found:
        raise CannotBuildError(f"apt found no source package {PACKAGE}")
    return found[0]


def _unpack(archive: Path, work: Path) -> None:
    parts = ("*/dpf/*", "*/plugins/Kars/*")
    _run(["tar", "xf", str(archive), "--strip-components=1", "--wildcards", *parts], work)


def _run(command: list[str], work: Path) -> str:
    environment = os.environ | {"LC_ALL": "C"}
    try:
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired as error:
        raise CannotBuildError(f"{command[0]} took more than {error.timeout:g} s") from error
    if done.returncode:
        raise CannotBuildError(f"{' '.join(command[:2])} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


if __name__ == "__main__":
    try:
        build()
    except CannotBuildError as cause:
        sys.exit(f"Tests with VST3 instruments will be left out: {cause}")
    print(f"VST3 instruments are in {BUILT}")
