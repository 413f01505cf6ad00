"""Makes `app.png`, the picture of the page in the browser: `python docs/figures/make_app_picture.py`.

It starts the page, matches two recordings and takes a screenshot. Needs Chromium, Playwright and `blackbox-grad[app]`.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from make_report_picture import shrink
from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).with_name("app.png")
RUN = [sys.executable, "-c", "from blackbox_grad.cli import main; main()"]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # the guitar of the demo and its target
        subprocess.run([*RUN, "demo", "--output", folder], check=True)
        server = subprocess.Popen([*RUN, "app", "--port", "0", "--no-browser"], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            address = re.search(r"http://\S+/", server.stdout.readline())
            assert address is not None
            photograph(address[0], folder)
        finally:
            server.send_signal(signal.SIGINT)
            server.wait()
        shrink(folder / "page.png", PICTURE)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


def photograph(address: str, folder: Path) -> None:
    """Match the recordings in the folder, and take the picture."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("pictures of pages need Chromium; on Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--headless", "--no-sandbox", "--disable-gpu"])
        page = opened.new_page(viewport={"width": 1000, "height": 1300})
        page.set_default_timeout(300_000)
        page.goto(address)
        page.get_by_role("button", name="Match", exact=True).wait_for()
        page.set_input_files("#match-input input[type=file]", folder / "input.wav")
        page.set_input_files("#match-target input[type=file]", folder / "target.wav")
        box = page.get_by_label("Effect").first
        box.click()
        box.press("Control+a")
        box.press_sequentially("pedalboard-builtin:Distortion | pedalboard-builtin:LadderFilter | pedalboard-builtin:Reverb")
        box.press("Enter")
        page.get_by_role("button", name="Match", exact=True).click()
        page.locator("iframe.job-report").wait_for()
        page.wait_for_timeout(2000)
        page.mouse.click(5, 5)
        page.screenshot(path=folder / "page.png")
        opened.close()


if __name__ == "__main__":
    main()
