"""The figures of effects in a folder: PNG, SVG, and one page with all figures and the readability of embeddings."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from blackbox_grad.errors import AudioError
from blackbox_grad.files import replacing
from blackbox_grad.reports import render_page, write_page
from blackbox_grad_adapters.style_matching.maps import figures as latent_figures
from blackbox_grad_adapters.style_matching.maps.latent_space import LatentSpace
from blackbox_grad_adapters.style_matching.maps.plane import METHODS
from blackbox_grad_adapters.style_matching.maps.readability import Readability

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    #: A figure, its title, and its caption.
    _Drawn: TypeAlias = tuple[Figure, str, str]

PAGE = "index.html"


@dataclass(frozen=True)
class _Picture:
    title: str
    note: str
    source: str


def write_latent_report(
    folder: Path, spaces: Mapping[str, LatentSpace], read: Mapping[str, Readability], command: str, seed: int = 0
) -> list[Path]:
    """Write all files, each whole or not at all, and return them; the page is the first.

    Args:
        folder: created if it does not exist.
        spaces, read: by the effect's name.

    Raises:
        AudioError: a file cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AudioError(f"{folder}: the folder cannot be made ({error.strerror}); choose another") from error
    files: list[Path] = []
    page = folder / PAGE

    def written(name: str, drawn: _Drawn) -> _Picture:
        figure, title, note = drawn
        for kind in ("png", "svg"):
            file = folder / f"{_plain(name)}.{kind}"
            with replacing(file) as temporary:
                temporary.write_bytes(latent_figures.encoded(figure, kind))
            files.append(file)
        content = base64.b64encode(files[-2].read_bytes()).decode()
        return _Picture(title, note, f"data:image/png;base64,{content}")

    together = None
    if len(spaces) > 1:
        note = "One recording through each effect, at quasi-random settings."
        figure = latent_figures.effects({name: space.e for name, space in spaces.items()}, seed)
        together = written("effects", (figure, "All effects", note))
    pictures = {name: [written(f"{name}-{part}", drawn) for part, drawn in _figures(space)] for name, space in spaces.items()}
    write_page(
        page,
        render_page(
            "latent.html",
            package="blackbox_grad_adapters.style_matching",
            together=together,
            pictures=pictures,
            spaces=spaces,
            read=read,
            command=command,
        ),
    )
    return [page, *files]


def _figures(space: LatentSpace) -> list[tuple[str, _Drawn]]:
    """Each figure with its part of the file's name."""
    swept = "20 settings of one parameter, the others in the middle, among all settings (grey)."
    growing = f"{swept} Points grow with the parameter."
    found: list[tuple[str, _Drawn]] = [("sweeps", (latent_figures.sweeps_together(space), "Sweeps, together", growing))]
    found += [
        (f"sweeps-{method.lower()}", (latent_figures.sweeps_apart(space, method), f"Sweeps, one by one ({method})", swept))
        for method in METHODS
    ]
    note = "A colour is a place in the plane: settings of one colour sound alike."
    found.append(("domain", (latent_figures.domain(space), "Settings coloured by their place", note)))
    if len(space.names) > 1:
        found += [
            (f"pairs-{method.lower()}", (latent_figures.pairs(space, method), f"Pairs of parameters ({method})", note))
            for method in METHODS
        ]
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
