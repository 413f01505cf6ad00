"""The page: three tabs over one queue."""

from __future__ import annotations

from typing import Any

import gradio as gr

from blackbox_grad_adapters.app import showing
from blackbox_grad_adapters.app.effects_list import choices
from blackbox_grad_adapters.app.inspection_tab import inspection_tab
from blackbox_grad_adapters.app.jobs import Jobs
from blackbox_grad_adapters.app.matching_tab import matching_tab
from blackbox_grad_adapters.app.running import visitor
from blackbox_grad_adapters.app.style_tab import style_tab

#: Fonts of the computer itself: the page loads nothing from elsewhere.
_FONTS = ("system-ui", "sans-serif")

#: For `launch`.
LOOK: dict[str, Any] = {
    "css": showing.CSS,
    "theme": gr.themes.Base(primary_hue="indigo", font=_FONTS, font_mono=("ui-monospace", "monospace")),
}

#: Seconds: how often uploads are looked through, and how old those are that go.
_CLEANING, _OLD = 600, 6 * 3600


def page(jobs: Jobs) -> gr.Blocks:
    """The page, not served yet. Jobs of visitors who close it are removed."""
    listed = choices()
    blocks: gr.Blocks = gr.Blocks(title="blackbox-grad", analytics_enabled=False, delete_cache=(_CLEANING, _OLD))
    with blocks:
        gr.Markdown("# blackbox-grad")
        with gr.Tab("Match"):
            matching_tab(jobs, listed)
        with gr.Tab("Style"):
            style_tab(jobs, _trained(listed))
        with gr.Tab("Inspect"):
            inspection_tab(jobs, listed)

        def leave(request: gr.Request) -> None:
            jobs.leave(visitor(request))

        blocks.unload(leave)
    blocks.queue()
    return blocks


def _trained(listed: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those of the effects that style matching has weights for."""
    from blackbox_grad_adapters.style_matching.networks.shipped import EFFECTS, file_of

    names = {address for address in EFFECTS if file_of(address).exists()}
    return [pair for pair in listed if pair[1] in names]
