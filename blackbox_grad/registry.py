"""Backends and estimators by name, found through entry points and imported when first used.

A third party registers its own without touching the core, in its `pyproject.toml`:

    [project.entry-points."blackbox_grad.backends"]
    mine = "my_package:MyBackend"

    [project.entry-points."blackbox_grad.estimators"]
    mine = "my_package:MyEstimator"
"""

from __future__ import annotations

import ast
import functools
import importlib
import os
import pkgutil
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, cast

from blackbox_grad.errors import AddressError, EstimatorError, MissingDependencyError, suggest

if TYPE_CHECKING:
    from types import ModuleType

    from blackbox_grad.effects import Backend, EffectSpec
    from blackbox_grad.estimators import Estimator

BACKENDS = "blackbox_grad.backends"
ESTIMATORS = "blackbox_grad.estimators"

#: module that cannot be imported -> the extra that brings it
_EXTRAS = (
    {"pedalboard": "pedalboard", "dawdreamer": "dawdreamer"}
    | dict.fromkeys(("jinja2", "matplotlib", "platformdirs", "rich", "scipy", "soundfile", "soxr", "typer"), "match")
    | dict.fromkeys(("G722", "auraloss", "lightning", "pyloudnorm", "safetensors", "sklearn", "tensorboard", "umap"), "style")
    | {"pesq": "pesq"}
)


def _entries(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def missing_dependency(error: ImportError, needed_by: str) -> MissingDependencyError:
    """The error to raise when an optional library is not installed, with the command that brings it."""
    module = (error.name or "").partition(".")[0]
    extra = _EXTRAS.get(module)
    way_out = f"pip install 'blackbox-grad[{extra}]'" if extra else f"pip install {module or 'the missing package'}"
    return MissingDependencyError(f"{needed_by} needs {module or error}, which is not installed; run: {way_out}")


def library(name: str, needed_by: str) -> ModuleType:
    """An optional library, imported. Raises `MissingDependencyError` if it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise missing_dependency(error, needed_by) from error


def backend_names() -> list[str]:
    """Names of all registered backends, installed libraries or not."""
    return sorted(_entries(BACKENDS))


@functools.cache
def backend(name: str) -> Backend:
    """The backend of this name. Raises `AddressError` if it is unknown."""
    entries = _entries(BACKENDS)
    if name not in entries:
        raise AddressError(f"no backend {name!r}; {suggest(name, sorted(entries))}")
    try:
        return cast("Backend", entries[name].load()())
    except ImportError as error:
        raise missing_dependency(error, f"backend {name!r}") from error


def backends() -> Iterator[tuple[str, Backend]]:
    """All backends that can be imported, by name."""
    for name in backend_names():
        try:
            yield name, backend(name)
        except MissingDependencyError:
            continue


def resolve_address(address: str) -> str:
    """`backend:locator` from an address, a bare path, an LV2 URI or the name of an installed effect."""
    address = address.strip()
    if not address:
        raise AddressError("an empty address; write backend:effect, such as pedalboard-builtin:Reverb")
    prefix, colon, locator = address.partition(":")
    if colon and prefix in _entries(BACKENDS):
        if not locator.strip():
            raise AddressError(f"{address!r} names no effect; `blackbox-grad effects` lists what is installed")
        return address
    claims = sorted(((b.claims(address), name) for name, b in backends()), reverse=True)
    if claims and claims[0][0] > 0:
        return f"{claims[0][1]}:{address}"
    looks_like_prefix = colon and len(prefix) > 1 and os.sep not in prefix and "//" not in locator[:2]
    if looks_like_prefix:
        raise AddressError(f"{address!r}: no backend {prefix!r}; {suggest(prefix, backend_names())}")
    raise AddressError(
        f"no backend claims {address!r}. Write backend:effect with one of {', '.join(backend_names())}; "
        "`blackbox-grad effects` lists what is installed"
    )


def estimator_names() -> list[str]:
    """Names of all registered estimators."""
    return sorted(_entries(ESTIMATORS))


def estimator(description: str | Estimator, spec: EffectSpec | None = None) -> Estimator:
    """An estimator from `"name"` or `"name:option=value,option=value"`; an estimator passes through.

    A name with a dot is a class that is not registered, in a module that can be imported: `"my_package.Mine:step=0.02"`.

    With `spec` it is the one for this effect: what the estimator's method `for_effect` returns, if it has one.

    >>> estimator("spsa:samples=4,step=0.05")
    SPSA(samples=4, sides=2, directions='rademacher', step=0.05)
    """
    found = _estimator(description)
    return found if spec is None or not hasattr(found, "for_effect") else cast("Estimator", found.for_effect(spec))


def _estimator(description: str | Estimator) -> Estimator:
    if not isinstance(description, str):
        if isinstance(description, type):
            raise EstimatorError(f"{description.__name__} is a class; give an instance: {description.__name__}()")
        if not callable(getattr(description, "estimate", None)):
            raise EstimatorError(f"{description!r} is no estimator: it has no method estimate(problem)")
        return description
    name, _, options = description.partition(":")
    entries = _entries(ESTIMATORS)
    if name not in entries and "." not in name:
        raise EstimatorError(f"no estimator {name!r}; {suggest(name, sorted(entries))}")
    arguments: dict[str, Any] = {}
    for pair in filter(None, (o.strip() for o in options.split(","))):
        key, equals, text = pair.partition("=")
        if not equals:
            raise EstimatorError(f"{description!r}: write options as name=value, got {pair!r}")
        try:
            arguments[key.strip()] = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            arguments[key.strip()] = text.strip()
    try:
        kind = entries[name].load() if name in entries else _imported(name)
        return cast("Estimator", kind(**arguments))
    except MissingDependencyError:
        raise
    except ImportError as error:
        raise missing_dependency(error, f"estimator {name!r}") from error
    except TypeError as error:
        raise EstimatorError(f"{description!r}: {error}") from error


def _imported(name: str) -> Any:
    """What `package.module.Class` names."""
    try:
        return pkgutil.resolve_name(name)
    except (AttributeError, ValueError) as error:
        raise EstimatorError(f"no estimator {name!r}: {error}") from error
