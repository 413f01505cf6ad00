"""Where in the unit box to render next. Knows parameter spaces and arrays, and nothing else."""

from __future__ import annotations

from blackbox_grad.search.emulator import Emulator
from blackbox_grad.search.line_search import LineSearch
from blackbox_grad.search.pursuit import Pursuit

__all__ = ["Emulator", "LineSearch", "Pursuit"]
