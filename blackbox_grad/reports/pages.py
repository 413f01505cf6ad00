"""Self-contained HTML pages: rendered from a template, written whole."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from blackbox_grad.dependencies import library
from blackbox_grad.files import check_writable, replacing

_LIBRARIES = ("blackbox-grad", "torch", "pedalboard", "dawdreamer", "numpy")


def render_page(template: str, *, package: str = "blackbox_grad", **values: Any) -> str:
    """Fill in a template from the folder `templates` of a package. It may include templates of `blackbox_grad`."""
    jinja2 = library("jinja2", "the report")
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in dict.fromkeys((package, "blackbox_grad"))]),
        autoescape=True,  # names come from plug-ins and files
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    page: str = environment.get_template(template).render(versions=_versions(), **values)
    return page


def check_page_libraries() -> None:
    """Before the work: raise `MissingDependencyError` if a page cannot be made, without importing what makes it."""
    for name in ("jinja2", "matplotlib"):
        if find_spec(name) is None:
            library(name, "the report")


def write_page(path: str | os.PathLike[str], page: str) -> None:
    """Write a page to an `.html` file, whole or not at all. Raises `AudioError` if the path cannot be written."""
    path = Path(path)
    check_writable(path, (".html", ".htm"))
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")  # a file name need not be text


def _versions() -> list[tuple[str, str]]:
    found = [("Python", platform.python_version())]
    for name in _LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return [*found, ("system", f"{platform.system()} {platform.machine()}")]
