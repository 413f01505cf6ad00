"""`match`: the settings with which an effect turns one recording into another."""

from __future__ import annotations

from blackbox_grad.matching.match import match
from blackbox_grad.matching.result import Match, Progress
from blackbox_grad.matching.strategy import ENOUGH

__all__ = ["ENOUGH", "Match", "Progress", "match"]
