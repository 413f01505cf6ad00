"""Turtle files as statements: a thin layer over pyoxigraph, which reads a megabyte in some 10 ms."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NewType

from blackbox_grad.dependencies import library

#: An IRI, a blank node ("_:…") or a text, as a string.
Node = NewType("Node", str)


class Graph:
    """Statements by subject and predicate, in the order of the file."""

    def __init__(self) -> None:
        self._statements: dict[str, dict[str, list[Node]]] = {}
        self._languages: dict[tuple[str, str, str], str] = {}

    def objects(self, subject: str, predicate: str) -> Sequence[Node]:
        """What a subject's predicate says."""
        return self._statements.get(subject, {}).get(predicate, [])

    def named(self, subject: str, name: str) -> Sequence[Node]:
        """What its predicates with this local name say, whatever vocabulary they are from: LV2's extensions were renamed once."""
        return [
            o for predicate, found in self._statements.get(subject, {}).items() if local_name(predicate) == name for o in found
        ]

    def text(self, subject: str, predicate: str) -> str:
        """The text without a language, or the English one, or the first; empty without any."""
        found = self.objects(subject, predicate)
        if len(found) == 1:
            return found[0].strip()
        languages = [self._languages.get((subject, predicate, text), "") for text in found]
        ranked = sorted(range(len(found)), key=lambda i: (languages[i] != "", not languages[i].startswith("en")))
        return found[ranked[0]].strip() if ranked else ""

    def subjects(self, predicate: str, value: str) -> list[str]:
        """The subjects of which the predicate says this."""
        return [subject for subject, statements in self._statements.items() if value in statements.get(predicate, ())]

    def add(self, subject: str, predicate: str, value: str, language: str | None = None) -> None:
        self._statements.setdefault(subject, {}).setdefault(predicate, []).append(Node(value))
        if language:
            self._languages[subject, predicate, value] = language


def read(files: Iterable[Path]) -> Graph:
    """The statements of files, together. Of a faulty file it takes what stands before the fault; a missing one is empty."""
    pyoxigraph = library("pyoxigraph", "the list of LV2 plug-ins")
    parse, turtle = pyoxigraph.parse, pyoxigraph.RdfFormat.TURTLE
    BlankNode, Literal = pyoxigraph.BlankNode, pyoxigraph.Literal
    graph = Graph()
    for number, file in enumerate(dict.fromkeys(files)):

        def text(node: Any, number: int = number) -> str:
            # two files may use one name for two blank nodes
            return f"_:{number}.{node.value}" if isinstance(node, BlankNode) else str(node.value)

        base = file.absolute().as_uri()
        try:
            for quad in parse(path=str(file), format=turtle, base_iri=base, lenient=True):
                said = quad.object
                language = said.language if isinstance(said, Literal) else None
                graph.add(text(quad.subject), quad.predicate.value, text(said), language)
        except (OSError, SyntaxError, ValueError):
            continue
    return graph


@functools.lru_cache(maxsize=1024)
def local_name(iri: str) -> str:
    """The name at the end of an IRI: `http://lv2plug.in/ns/lv2core#toggled` -> "toggled"."""
    return iri.rpartition("#")[2].rpartition("/")[2]
