"""What packages register, by name: `"spsa:samples=4"` becomes an estimator, `"processes:hosts=2"` a host."""

from __future__ import annotations

import ast
import inspect
import pkgutil
from typing import Any

from blackbox_grad.dependencies import entry_points_of, missing_dependency
from blackbox_grad.errors import BlackboxGradError, MissingDependencyError, suggest


def named(group: str, kind: str, name: str, error: type[BlackboxGradError]) -> Any:
    """The object called `name` in an entry-point group, or in an importable module if the name has a dot.

    Args:
        group: "blackbox_grad.estimators".
        kind: what the group holds, for messages: "estimator".
        name: "spsa", or "my_package.Mine", which is not registered.
        error: the type to raise for an unknown name.
    """
    entries = entry_points_of(group)
    if name not in entries and "." not in name:
        raise error(f"no {kind} {name!r}; {suggest(name, sorted(entries))}")
    try:
        return entries[name].load() if name in entries else _resolved(name)
    except MissingDependencyError:
        raise
    except ImportError as missing:
        raise missing_dependency(missing, f"{kind} {name!r}") from missing
    except (AttributeError, ValueError) as wrong:
        raise error(f"no {kind} {name!r}: {wrong}") from wrong


def made(group: str, kind: str, description: str, error: type[BlackboxGradError], method: str) -> Any:
    """The object that `"name"` or `"name:option=value,option=value"` describes. Values are Python literals, or else text.

    Nothing is called that only was named: it is a class with `method`, or it is refused.

    Raises:
        BlackboxGradError: of the type `error`: the name is unknown, of something else, or does not take these options.
    """
    name, _, options = description.partition(":")
    found = named(group, kind, name, error)
    if not (isinstance(found, type) and callable(getattr(found, method, None))):
        raise error(f"{name!r} is not {_a(kind)}, and was not called: {_a(kind)} is a class with a method {method}")
    arguments: dict[str, Any] = {}
    for pair in filter(None, (o.strip() for o in options.split(","))):
        key, equals, text = pair.partition("=")
        if not equals:
            raise error(f"{description!r}: write options as name=value, got {pair!r}")
        try:
            arguments[key.strip()] = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError):
            arguments[key.strip()] = text.strip()
    known = _options(found)
    if known is not None and (unknown := [key for key in arguments if key not in known]):
        raise error(f"{description!r}: {name} has no option {unknown[0]!r}; {suggest(unknown[0], known)}")
    try:
        return found(**arguments)
    except MissingDependencyError:
        raise
    except ImportError as missing:
        raise missing_dependency(missing, f"{kind} {name!r}") from missing
    except (TypeError, error) as wrong:
        raise error(f"{description!r}: {wrong}") from wrong


def _options(found: type) -> list[str] | None:
    """The names that it can be called with; None where it takes any, or cannot tell."""
    try:
        parameters = inspect.signature(found).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]


def _resolved(name: str) -> Any:
    """The public object at `package.module.Class`, of a module that can be imported by these parts of its name."""
    if not all(part.isidentifier() and not part.startswith("_") for part in name.split(".")):
        raise ValueError("write package.module.Class")
    return pkgutil.resolve_name(name)


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
