"""Where commands print: closed, full and narrow streams take no result away, and every failure is one sentence."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from blackbox_grad import audio_files
from blackbox_grad.cli import main

PROGRAM = Path(sys.executable).with_name("blackbox-grad")

POSIX = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a POSIX shell and the device that is always full")


@pytest.fixture(scope="module")
def dry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audio") / "dry.wav"
    audio, rate = audio_files.example()
    audio_files.write(path, audio[:1, 30000:40000], rate)
    return path


def shell(line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(line, shell=True, capture_output=True, text=True, timeout=240, check=False)


class Narrow:
    """stdout and stderr of an encoding, in place of the usual ones."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
        self._encoding = encoding
        self._bytes = io.BytesIO(), io.BytesIO()
        for name, content in zip(("stdout", "stderr"), self._bytes, strict=True):
            monkeypatch.setattr(sys, name, io.TextIOWrapper(content, encoding, errors="strict"))

    def run(self, *arguments: str | Path) -> tuple[object, bytes, bytes]:
        """Exit code, and what was printed."""
        with pytest.raises(SystemExit) as ended:
            main([os.fspath(argument) for argument in arguments])
        sys.stdout.flush()
        sys.stderr.flush()
        out, err = (content.getvalue() for content in self._bytes)
        return ended.value.code, out, err


@POSIX
@pytest.mark.parametrize("where", [">&-", ">/dev/full", ">&- 2>&-"])
def test_a_stdout_that_takes_nothing_takes_no_file_away(dry: Path, tmp_path: Path, where: str) -> None:
    done = shell(f"{PROGRAM} render reference:gain {dry} {tmp_path}/out.wav {where}")
    assert done.returncode == 1
    assert audio_files.read(tmp_path / "out.wav")[0].shape == (1, 10000)
    if "2>" not in where:
        assert done.stderr.startswith("Error: stdout")
        assert done.stderr.count("\n") == 1


@POSIX
def test_a_stdout_that_takes_nothing_takes_no_match_away(dry: Path, tmp_path: Path) -> None:
    files = f"-o {tmp_path}/m.wav --parameters {tmp_path}/m.json --report {tmp_path}/m.html"
    done = shell(f"{PROGRAM} match reference:gain {dry} {dry} --renders 9 --host in-process {files} >/dev/full 2>/dev/full")
    assert done.returncode == 1
    assert {path.name for path in tmp_path.iterdir()} == {"m.wav", "m.json", "m.html"}
    assert json.loads((tmp_path / "m.json").read_text())["renders"] > 0


@POSIX
def test_a_stderr_that_takes_nothing_is_no_error(dry: Path, tmp_path: Path) -> None:
    assert shell(f"{PROGRAM} render reference:gain {dry} {tmp_path}/loud.flac --set Gain=24dB 2>&-").returncode == 0


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252", "utf-8"])
def test_a_terminal_of_any_encoding_shows_a_result(
    dry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """The arrow of a progress is in none but the last; the folder's name is in none but the last, or in no encoding at all."""
    folder = tmp_path / "音 é"
    folder.mkdir()
    files = ["-o", folder / "m.flac", "--report", folder / "m.html", "--parameters", folder / "m.json"]
    command = "match", "reference:gain", dry, dry, "--renders", "9", "--host", "in-process"
    code, out, err = Narrow(monkeypatch, encoding).run(*command, *files)
    assert code == 0, err
    arrow = "→" if encoding == "utf-8" else "->"
    assert f" {arrow} " in err.decode(encoding)
    assert b"found" in out
    assert {path.name for path in folder.iterdir()} == {"m.flac", "m.html", "m.json"}
    code, out, err = Narrow(monkeypatch, encoding).run("render", "reference:gain", folder / "missing.wav", folder / "o.wav")
    assert (code, out, err.count(b"\n")) == (1, b"", 1)
    assert "no such file" in err.decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_name_that_is_no_text_is_printed_as_it_is(
    dry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    code, out, err = Narrow(monkeypatch, encoding).run("render", "reference:gain", dry, os.fsdecode(name))
    assert (code, err) == (0, b"")
    assert name in out
    assert os.path.exists(name)
    files = [
        "--report",
        os.fsdecode(name.replace(b".wav", b".html")),
        "--parameters",
        os.fsdecode(name.replace(b".wav", b".json")),
    ]
    command = "match", "reference:gain", os.fsdecode(name), os.fsdecode(name), "--renders", "9", "--host", "in-process"
    code, out, err = Narrow(monkeypatch, encoding).run(*command, *files, "--json")
    assert code == 0, err
    assert len(json.loads(out)["files"]) == 2


@POSIX
def test_a_failure_while_importing_is_no_traceback() -> None:
    """`--help` prints before any command runs."""
    for command in ("--help", "--version", "match --help", "effects --json"):
        done = shell(f"{PROGRAM} {command} >/dev/full")
        assert (done.returncode, done.stderr) == (1, "Error: stdout: No space left on device\n"), command
