"""What the page shows of a job: a bar, an error, a report."""

from __future__ import annotations

from html import escape
from pathlib import Path

from blackbox_grad_adapters.app.jobs import Step

#: Pixels.
_HEIGHT = 900

#: The look of what is shown here.
CSS = """
.job-bar { height: 8px; border-radius: 4px; background: var(--border-color-primary); overflow: hidden; margin: 6px 0 2px; }
.job-bar i { display: block; height: 100%; background: var(--color-accent); transition: width 0.3s; }
.job-text { font-variant-numeric: tabular-nums; min-height: 1.4em; }
.job-error { border-left: 4px solid #d33; padding: 6px 12px; overflow-wrap: anywhere; }
.job-remark { border-left: 4px solid #c90; padding: 6px 12px; overflow-wrap: anywhere; }
.job-report { width: 100%; border: 1px solid var(--border-color-primary); border-radius: 10px; background: white; }
footer { display: none !important; }
"""


def bar(step: Step) -> str:
    """A bar as long as what is done, and the figures below."""
    done = round(100 * step.done)
    return (
        f'<div class="job-bar" role="progressbar" aria-valuenow="{done}" aria-valuemin="0" aria-valuemax="100">'
        f'<i style="width:{done}%"></i></div><div class="job-text">{done} %  {escape(step.text)}</div>'
    )


def words(text: str) -> str:
    """A line."""
    return f'<div class="job-text" role="status">{escape(text)}</div>'


def error(text: str) -> str:
    """Why there is no result."""
    return f'<div class="job-error" role="alert">{escape(text)}</div>'


def remarks(texts: list[str]) -> str:
    """What a command warned of."""
    return "".join(f'<div class="job-remark">{escape(text)}</div>' for text in texts)


def report(path: Path) -> str:
    """A report, with all that it plays, as a page in the page. It can reach nothing around it."""
    page = escape(path.read_text("utf-8"))
    return f'<iframe class="job-report" title="report" sandbox="allow-scripts" height="{_HEIGHT}" srcdoc="{page}"></iframe>'
