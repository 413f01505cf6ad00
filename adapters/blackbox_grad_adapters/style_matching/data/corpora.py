"""Real recordings under free licences, as Debian packages. A command fetches them into the cache, without root.

Every package lies on one side, with its speakers and artists, so that evaluation uses nothing from the training.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

from blackbox_grad.cache import cache_folder
from blackbox_grad.errors import BlackboxGradError, suggest
from blackbox_grad_adapters.style_matching.data.recordings import Recording, Tracks, in_folder

Side: TypeAlias = Literal["train", "validate", "evaluate"]

Kind: TypeAlias = Literal["speech", "music"]

#: Seconds for one download.
_TIME_LIMIT = 900


class CorpusError(BlackboxGradError, RuntimeError):
    """A corpus is unknown, not there, or cannot be fetched."""


@dataclass(frozen=True)
class Corpus:
    """A package of recordings.

    Attributes:
        package: its name in Debian.
        kind: "speech" or "music".
        side: its purpose: "train", "validate" (when to stop) or "evaluate".
        description: its content.
        megabytes: size of the download.
        root: the folder in the package that holds the recordings.
        groups: a pattern that finds the group in a file's path below `root`; by default all files are one group.
    """

    package: str
    kind: Kind
    side: Side
    description: str
    megabytes: int
    root: str
    groups: str = ""

    @property
    def folder(self) -> Path:
        """The folder of its files, fetched or not."""
        return recordings_folder() / self.package

    @property
    def present(self) -> bool:
        return self.folder.is_dir()

    def recordings(self) -> list[Recording]:
        """Its audio files. Raises `CorpusError` if it has not been fetched."""
        if not self.present:
            raise CorpusError(
                f"the corpus {self.package} is not here; run: blackbox-grad style corpus get {self.package} "
                f"({self.megabytes} MB), or use a folder of recordings of your own"
            )
        root = self.folder / self.root
        return [Recording(r.path, f"{self.package}/{self._group(r.path.relative_to(root))}") for r in in_folder(root)]

    def _group(self, file: Path) -> str:
        found = re.search(self.groups, file.as_posix()) if self.groups else None
        return found[0] if found else "others"

    def fetch(self) -> None:
        """Download and unpack it, unless it is here. Needs `apt-get`, `dpkg` and their list of packages, but not root.

        A download that was stopped starts again; a package appears whole or not at all.

        Raises:
            CorpusError: there is no `apt-get`, no network or no room.
        """
        if self.present:
            return
        try:
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=self.folder.parent, prefix=".part-") as temporary:
                _run(["apt-get", "download", self.package], temporary, self.package)
                (archive,) = Path(temporary).glob("*.deb")
                _run(["dpkg", "-x", archive.name, "files"], temporary, self.package)
                with contextlib.suppress(FileExistsError):  # another process has fetched it
                    (Path(temporary) / "files").rename(self.folder)
        except OSError as error:
            raise CorpusError(
                f"{self.package} cannot be unpacked into {self.folder.parent} ({error.strerror or error}); make room there, or "
                "choose another place: XDG_CACHE_HOME=FOLDER blackbox-grad style corpus get …"
            ) from error


CORPORA = (
    Corpus(
        "fillets-ng-data-cs",
        "speech",
        "train",
        "101 min of acted Czech, two main speakers",
        39,
        "usr/share/games/fillets-ng/sound",
        r"(?<![a-z0-9])[mv](?=[-.][^/]*$)",
    ),
    Corpus("singularity-music", "music", "train", "64 min of electronic music", 52, "usr/share/games/singularity/music"),
    Corpus(
        "fretsonfire-songs-muldjord",
        "music",
        "train",
        "4 metal songs, the guitar alone and all together",
        29,
        "usr/share/games/fretsonfire/data/songs/muldjord",
    ),
    Corpus(
        "asterisk-core-sounds-it-g722",
        "speech",
        "validate",
        "Italian announcements, one speaker",
        10,
        "usr/share/asterisk/sounds",
    ),
    Corpus("asc-music", "music", "validate", "3 pieces of a game", 10, "usr/share/games/asc/music"),
    Corpus(
        "asterisk-core-sounds-en-g722",
        "speech",
        "evaluate",
        "English announcements, one speaker",
        11,
        "usr/share/asterisk/sounds",
    ),
    Corpus(
        "fretsonfire-songs-sectoid",
        "music",
        "evaluate",
        "4 rock songs, the guitar alone and all together",
        29,
        "usr/share/games/fretsonfire/data/songs/sectoid",
    ),
)


def corpus(name: str) -> Corpus:
    """The corpus of this package. Raises `CorpusError` if it is unknown."""
    known = {c.package: c for c in CORPORA}
    if name not in known:
        raise CorpusError(f"no corpus {name!r}; {suggest(name, known)}")
    return known[name]


def on_side(side: Side, kind: Kind | None = None) -> Iterator[Corpus]:
    """The corpora of a side, speech and music or one of them."""
    return (c for c in CORPORA if c.side == side and kind in (None, c.kind))


def tracks(
    side: Side,
    sample_rate: float,
    channels: int = 1,
    kind: Kind | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Tracks:
    """The recordings of a side, decoded; see `Tracks`. Raises `CorpusError` if a corpus of it has not been fetched."""
    return Tracks([r for c in on_side(side, kind) for r in c.recordings()], sample_rate, channels, on_progress=on_progress)


def recordings_folder() -> Path:
    """The folder of unpacked packages."""
    return cache_folder("recordings")


def _run(command: list[str], folder: str, package: str) -> None:
    if shutil.which(command[0]) is None:
        raise CorpusError(
            f"{package} is a package of Debian, and {command[0]} is not here to fetch it; copy the folder {recordings_folder()} "
            "from a machine with Debian or Ubuntu, or use a folder of recordings of your own"
        )
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_TIME_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise CorpusError(f"{package}: {' '.join(command)} took more than {_TIME_LIMIT} s; check the network") from None
    if done.returncode:
        said = (
            " ".join(line for line in done.stderr.splitlines() if not line.startswith("W:")) or f"exit code {done.returncode}"
        )
        raise CorpusError(f"{package}: {' '.join(command[:2])} failed: {said}. {_way_out(said)}")


def _way_out(said: str) -> str:
    if "No space left" in said:
        folder = recordings_folder()
        return f"Make room in {folder}, or choose another place: XDG_CACHE_HOME=FOLDER blackbox-grad style corpus get …"
    if "Unable to locate" in said or "404" in said or "No candidate" in said:
        return "Update the list of packages (as root: apt-get update), on a Debian or Ubuntu whose sources have it"
    return "Check the network, and try again; packages that were fetched stay"
