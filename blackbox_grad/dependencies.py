"""Imports at first use: optional libraries, entry points, and the names that a package re-exports."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from blackbox_grad.errors import MissingDependencyError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: optional libraries of the core and the backends -> the extra that installs them; an adapter names its own extra
_EXTRAS = {"pedalboard": "pedalboard", "dawdreamer": "dawdreamer", "pyoxigraph": "dawdreamer", "mido": "midi"} | dict.fromkeys(
    ("jinja2", "matplotlib", "platformdirs", "rich", "scipy", "soundfile", "soxr", "typer"), "match"
)


def library(name: str, needed_by: str, extra: str = "") -> ModuleType:
    """An optional library, imported.

    Args:
        name: of the module.
        needed_by: what needs it, for the message.
        extra: of `blackbox-grad` that installs it, for a library that is not the core's.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise missing_dependency(error, needed_by, extra) from error


def missing_dependency(error: ImportError, needed_by: str, extra: str = "") -> MissingDependencyError:
    """The error for an optional library that is not installed.

    It gives the command that installs an extra of this distribution. It never advises to install another name: on an index of
    packages, anybody can register one.
    """
    module = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(module, extra)
    missing = f"{needed_by} needs {module or error}, which is not installed"
    if extra:
        return MissingDependencyError(f"{missing}; run: {install_line(extra)}")
    return MissingDependencyError(f"{missing}; install it from where its makers say, or run this where Python finds it")


def install_line(extra: str) -> str:
    """The command that adds an extra to this installation, from where it came: a checkout, a wheel, a repository or an index."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    try:
        origin = json.loads(distribution("blackbox-grad").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, OSError, ValueError):
        origin = {}
    # PEP 610
    url, details = str(origin.get("url", "")), origin.get("dir_info", {})
    if not url:
        return f"pip install 'blackbox-grad[{extra}]'"
    if url.startswith("file:") and "vcs_info" not in origin:
        editable = "-e " if details.get("editable") else ""
        return f"pip install {editable}'{unquote(urlsplit(url).path)}[{extra}]'"
    vcs = origin.get("vcs_info", {})
    source = f"{vcs['vcs']}+{url}@{vcs.get('commit_id', 'HEAD')}" if "vcs" in vcs else url
    return f"pip install 'blackbox-grad[{extra}] @ {source}'"


def entry_points_of(group: str) -> dict[str, EntryPoint]:
    """The entry points that installed packages register in a group, by name."""
    from importlib.metadata import entry_points  # 30 ms, which `import blackbox_grad` need not take

    return {entry.name: entry for entry in entry_points(group=group)}


def lazy_names(
    package: str, homes: Mapping[str, str], modules: Iterable[str] = ()
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package (PEP 562).

    Args:
        package: its `__name__`.
        homes: name -> the module inside the package that defines it.
        modules: modules of the package that are re-exported whole.
    """
    whole = tuple(modules)
    names = sorted([*homes, *whole])

    def __getattr__(name: str) -> Any:
        if name in homes:
            value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        elif name in whole:
            value = importlib.import_module(f"{package}.{name}")
        else:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        setattr(sys.modules[package], name, value)
        return value

    return __getattr__, lambda: names, names
