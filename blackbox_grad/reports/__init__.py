"""HTML pages to listen to and to read."""

from __future__ import annotations

from blackbox_grad.reports import figures
from blackbox_grad.reports.pages import render_page, write_page
from blackbox_grad.reports.players import MOST_SECONDS, flac, player

__all__ = ["MOST_SECONDS", "figures", "flac", "player", "render_page", "write_page"]
