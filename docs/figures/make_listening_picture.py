"""Makes `listening.png`, the picture of a listening test: `python docs/figures/make_listening_picture.py`.

It renders the bundled guitar through a delay at several settings, makes a MUSHRA test of them, opens it, sets a loop and takes a
screenshot. The sliders stand where the page puts them: nothing is rated. Needs Chromium, Playwright and
`blackbox-grad[style-training]`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from make_report_picture import shrink
from playwright.sync_api import sync_playwright

from blackbox_grad import audio_files, load

PICTURE = Path(__file__).with_name("listening.png")
RUN = [sys.executable, "-c", "from blackbox_grad.cli import main; main()"]


def main() -> None:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("pictures of pages need Chromium; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        render(folder / "sounds" / "Delay" / "guitar")
        page = folder / "test.html"
        options = ["--title", "Echoes of a guitar", "--training", "0", "-o", page]
        subprocess.run([*RUN, "style", "listen", "prepare", folder / "sounds", *options], check=True)
        photograph(browser, page, folder / "page.png")
        shrink(folder / "page.png", PICTURE)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


def render(folder: Path) -> None:
    folder.mkdir(parents=True)
    audio, rate = audio_files.example()
    with load("pedalboard-builtin:Delay", rate) as effect:
        for name, setting in (("reference", 0.6), ("near", 0.5), ("far", 0.2)):
            audio_files.write(folder / f"{name}.wav", effect.render(audio, np.full(len(effect.parameters), setting)), rate)
    audio_files.write(folder / "dry.wav", audio, rate)


def photograph(browser: str, page: Path, picture: Path) -> None:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=browser, args=["--headless", "--no-sandbox", "--disable-gpu"])
        tab = opened.new_page(viewport={"width": 860, "height": 1000})
        tab.goto(page.as_uri())
        tab.get_by_label("Choose a name").fill("listener")
        tab.get_by_role("button", name="Begin").click()
        tab.locator("#play:enabled").wait_for()
        tab.get_by_role("slider", name="Start of the loop").fill("300")
        tab.get_by_role("slider", name="End of the loop").fill("700")
        tab.get_by_role("button", name="3", exact=True).click()
        tab.wait_for_timeout(700)
        tab.screenshot(path=picture, full_page=True)
        opened.close()


if __name__ == "__main__":
    main()
