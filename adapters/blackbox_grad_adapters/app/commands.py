"""`blackbox-grad app`: match, style matching and inspection as a page in the browser."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Annotated

import typer

from blackbox_grad.cli import importing, say
from blackbox_grad.dependencies import library
from blackbox_grad.errors import AudioError


def app(
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Of this computer; 0 takes a free one.")] = 7860,
    browser: Annotated[bool, typer.Option(help="Open the page in the browser.")] = True,
) -> None:
    """Serve a page for match, style match and inspect, on this computer only. Ctrl-C ends it.

    One job runs at a time; others wait. Results are removed when the page is closed, uploads at the end or after six hours.

    \b
    Examples:
      blackbox-grad app
      blackbox-grad app --port 8000 --no-browser
    """
    with tempfile.TemporaryDirectory(prefix="blackbox-grad-app-") as folder:
        # read when gradio is imported; nothing is sent anywhere
        os.environ |= {"GRADIO_TEMP_DIR": folder + "/uploads", "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        with importing():
            library("gradio", "the page", "app")
            from blackbox_grad_adapters.app.jobs import Jobs
            from blackbox_grad_adapters.app.page import LOOK, page

        (Path(folder) / "jobs").mkdir()
        jobs = Jobs(Path(folder) / "jobs")
        blocks = page(jobs)
        try:
            try:
                _, address, _ = blocks.launch(
                    server_name="127.0.0.1",
                    server_port=port or _free_port(),
                    inbrowser=browser,
                    prevent_thread_lock=True,
                    quiet=True,
                    share=False,
                    ssr_mode=False,
                    footer_links=[],
                    run_history=False,
                    **LOOK,
                )
            except OSError as error:
                raise AudioError(f"port {port} is not free; give another one, or --port 0 for any") from error
            say("The page is at ", (address, "bold"), ", for this computer only. Ctrl-C ends it.")
            threading.Event().wait()
        finally:
            jobs.close()
            blocks.close(verbose=False)


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number
