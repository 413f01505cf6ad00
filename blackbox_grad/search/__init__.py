"""Where in the unit box to render next, by ask and tell. Knows only parameter spaces and arrays."""

from __future__ import annotations

from blackbox_grad.search.base import Found, Script, ScriptedSearcher, Searcher
from blackbox_grad.search.driver import drive
from blackbox_grad.search.emulator import Emulator
from blackbox_grad.search.line_search import LineSearch
from blackbox_grad.search.polish import Polish
from blackbox_grad.search.pursuit import Pursuit
from blackbox_grad.search.sampling import Sampling, distinct

__all__ = [
    "Emulator",
    "Found",
    "LineSearch",
    "Polish",
    "Pursuit",
    "Sampling",
    "Script",
    "ScriptedSearcher",
    "Searcher",
    "distinct",
    "drive",
]
