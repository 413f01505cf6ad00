"""A command that runs for a visitor of the page: in a process and a folder of its own, one for a visitor at a time."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

#: What a process runs: the command line of this interpreter, whether or not its script is on the path.
_COMMAND = (sys.executable, "-c", "from blackbox_grad.cli import main; main()")

#: Seconds that a process has to write its best so far, then to end.
_PATIENCE = 10.0

_PROGRESS = re.compile(r"\s*(\d+) %  (.*)")

#: The frame around a message about the usage.
_FRAME = re.compile(r"[╭╮╰╯─│]")


@dataclass(frozen=True)
class Step:
    """A line of a command about its progress.

    Attributes:
        done: the part of the work that is done, in [0, 1].
        text: the current step and its figures.
    """

    done: float
    text: str


class Job:
    """A command of `blackbox-grad` in a folder of its own. Files are named relative to the folder.

    Attributes:
        folder: absolute.
        arguments: of its first command.
        complaint: the error of the last command, in its own words; empty if there was none.
        remarks: what it warned of.
        stopped: whether it was asked to end.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.complaint = ""
        self.remarks: list[str] = []
        self.arguments: list[str] = []
        self.stopped = False
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()

    def place(self, uploaded: str | None, name: str) -> str:
        """Put an upload into the folder `name`, and return its path as the command is to receive it; "" if there is none."""
        if not uploaded:
            return ""
        source = Path(uploaded)
        target = self.folder / name / source.name
        target.parent.mkdir(exist_ok=True)
        if not target.exists():
            shutil.copyfile(source, target)
        return f"{name}/{source.name}"

    def run(self, arguments: Sequence[str]) -> Iterator[Step]:
        """Run a command and yield its progress. Afterwards `complaint` is its error, in its own words, or empty."""
        self.complaint, self.remarks = "", []
        self.arguments = self.arguments or list(arguments)
        environment = os.environ | {"BLACKBOX_GRAD_PROGRESS": "100", "COLUMNS": "10000", "NO_COLOR": "1"}
        with self._lock:
            if self.stopped and self._process is None:
                self.complaint = "Stopped before it began."
                return
            self.stopped = False
            with (self.folder / "printed.txt").open("w", encoding="utf-8") as printed:
                process = self._process = subprocess.Popen(
                    [*_COMMAND, *arguments],
                    cwd=self.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=printed,
                    stderr=subprocess.PIPE,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,
                )
        assert process.stderr is not None
        try:
            yield from self._read(process.stderr)
            code = process.wait()
        finally:
            self._end(process)
            process.stderr.close()
        if code and not self.complaint and not (self.stopped and code in (128 + signal.SIGINT, 128 + signal.SIGTERM)):
            self.complaint = f"The command ended with code {code}."

    def _read(self, lines: IO[str]) -> Iterator[Step]:
        framed: list[str] = []
        for line in lines:
            found = _PROGRESS.match(line)
            plain = _FRAME.sub("", line).strip()
            if found:
                yield Step(int(found[1]) / 100, found[2].strip())
            elif line.startswith("Error: "):
                self.complaint = line.removeprefix("Error: ").strip()
            elif line.startswith("│"):
                framed.append(plain)
            elif line.startswith("Warning: "):
                self.remarks.append(line.removeprefix("Warning: ").strip())
        self.complaint = self.complaint or " ".join(framed)

    def stop(self) -> None:
        """Ask the process to end with the best so far; the second time, at once."""
        with self._lock:
            again, self.stopped = self.stopped, True
            if self._process is not None and self._process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.send_signal(signal.SIGTERM if again else signal.SIGINT)

    def remove(self) -> None:
        """End the process, and remove the folder with all that was uploaded into it."""
        self.stop()
        if self._process is not None:
            self._end(self._process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, process: subprocess.Popen[str]) -> None:
        """Whatever has happened, no process is left."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)


class Jobs:
    """The jobs of all visitors, below one temporary folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs: dict[tuple[str, str], Job] = {}
        self._lock = threading.Lock()

    def new(self, visitor: str, tab: str) -> Job:
        """A job in an empty folder. The visitor's last one of this tab is ended and removed."""
        job = Job(Path(tempfile.mkdtemp(dir=self._folder)))
        with self._lock:
            old = self._jobs.pop((visitor, tab), None)
            self._jobs[visitor, tab] = job
        if old is not None:
            old.remove()
        return job

    def of(self, visitor: str, tab: str) -> Job | None:
        """The visitor's job of a tab, if there is one."""
        return self._jobs.get((visitor, tab))

    def leave(self, visitor: str) -> None:
        """The visitor has closed the page: remove what is theirs."""
        with self._lock:
            left = [self._jobs.pop(key) for key in list(self._jobs) if key[0] == visitor]
        for job in left:
            job.remove()

    def close(self) -> None:
        """Remove everything."""
        for visitor in {key[0] for key in list(self._jobs)}:
            self.leave(visitor)
