"""One effect on many files: in parallel, each whole or not at all. A file that fails stops no other."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import typer

from blackbox_grad import audio_files
from blackbox_grad.cli.outputs import refuse_overwriting
from blackbox_grad.dependencies import library
from blackbox_grad.errors import BlackboxGradError
from blackbox_grad.files import check_folder, is_device
from blackbox_grad.interrupts import Interrupt

#: Seconds between two looks at whether Ctrl-C has been pressed.
_LOOK = 0.1

#: Seconds of a file whose header does not tell its length.
_UNKNOWN = 600.0


@dataclass(frozen=True)
class Job:
    """A file, and the one that is made of it."""

    source: Path
    result: Path


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Attributes:
        job: the two files.
        sample_rate, channels, seconds, peak_db: of the result.
        error: why there is none; empty otherwise.
    """

    job: Job
    sample_rate: float = 0.0
    channels: int = 0
    seconds: float = 0.0
    peak_db: float = 0.0
    error: str = ""


def jobs(sources: Sequence[Path], folder: Path) -> list[Job]:
    """Each file gets one of its name in the folder; as .wav if its own format is not written. The folder is made.

    Raises:
        BadParameter: two files would get one name.
        AudioError: a result would be one of the files, or the folder cannot be written to.
    """
    made = [Job(source, folder / _name(source)) for source in sources]
    first: dict[str, Path] = {}
    for job in made:
        other = first.setdefault(os.path.normcase(job.result.name), job.source)
        if other is not job.source:
            raise typer.BadParameter(f"{other} and {job.source} would both become {job.result}; render them into two folders")
    check_folder(folder)
    for job in made:
        refuse_overwriting(job.result, *sources)
    folder.mkdir(parents=True, exist_ok=True)
    for job in made:
        audio_files.check_written(job.result)
    return made


def _name(source: Path) -> str:
    return source.name if source.suffix.lower() in audio_files.WRITTEN else f"{source.name.removesuffix(source.suffix)}.wav"


def longest(sources: Sequence[Path]) -> float:
    """Seconds of the longest file, as their headers tell."""
    soundfile = library("soundfile", "reading audio files")
    found = [0.0]
    for source in sources:
        try:
            found.append(_UNKNOWN if is_device(source) else float(soundfile.info(os.fspath(source)).duration))
        except (RuntimeError, OSError, ValueError, TypeError):
            found.append(_UNKNOWN)  # reading it will say what is wrong
    return max(found)


def run(
    jobs: Sequence[Job],
    work: Callable[[Job], Outcome],
    at_once: int,
    interrupt: Interrupt,
    on_done: Callable[[Outcome, int], None],
) -> list[Outcome]:
    """The outcomes of all jobs that were begun, in their order. After Ctrl-C no new one begins, and those under way are finished.

    Args:
        work: of one job, on any thread; an error that it raises is the job's.
        at_once: how many jobs.
        interrupt: of the block around this.
        on_done: called on this thread after each, with the number so far.
    """
    if at_once == 1:  # on this thread, which some plug-ins need
        alone: list[Outcome] = []
        for job in jobs:
            if interrupt.pressed:
                break
            alone.append(_attempted(work, job))
            on_done(alone[-1], len(alone))
        return alone
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for i in range(len(jobs)):
        waiting.put(i)
    found: dict[int, Outcome] = {}
    stopped = threading.Event()

    def take() -> int | None:
        """Do the next job; its number, or None if there is none."""
        try:
            i = waiting.get_nowait()
        except queue.Empty:
            return None
        if stopped.is_set() or interrupt.pressed:
            return None
        found[i] = _attempted(work, jobs[i])
        return i

    executor = ThreadPoolExecutor(at_once)
    done = 0
    try:
        under_way: set[Future[int | None]] = {executor.submit(take) for _ in range(at_once)}
        while under_way:
            ready, under_way = wait(under_way, timeout=_LOOK, return_when=FIRST_COMPLETED)
            for future in ready:
                if (number := future.result()) is not None:
                    done += 1
                    on_done(found[number], done)
                    under_way.add(executor.submit(take))
    finally:  # a second Ctrl-C does not wait: the host closes, and with it what is under way
        stopped.set()
        executor.shutdown(wait=False, cancel_futures=True)
    return [found[i] for i in sorted(found)]


def _attempted(work: Callable[[Job], Outcome], job: Job) -> Outcome:
    try:
        return work(job)
    except (BlackboxGradError, OSError) as error:
        return Outcome(job, error=str(error))
    except MemoryError:
        return Outcome(job, error=f"{job.source}: the memory does not suffice; render shorter parts, or with fewer --hosts")
