"""Makes `report.png`, the picture of a report in the README: `python docs/figures/make_report_picture.py`.

It runs the demo and takes a screenshot of its report. Needs Chromium and `blackbox-grad[pedalboard,match]`.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PICTURE = Path(__file__).with_name("report.png")
WIDTH, HEIGHT = 1000, 1800


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from blackbox_grad.cli import main; main()", "demo", "--output", folder]
        subprocess.run(command, check=True)
        photograph(Path(folder) / "report.html", PICTURE, WIDTH, HEIGHT)


def photograph(page: Path, picture: Path, width: int, height: int) -> None:
    """A screenshot of the top of a page."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("pictures of pages need Chromium; on Debian: apt-get install chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},{height}"]
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "page.png"
        subprocess.run([browser, *options, f"--screenshot={shot}", page.as_uri()], check=True, stderr=subprocess.DEVNULL)
        shrink(shot, picture)
    print(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")


def shrink(source: Path, target: Path) -> None:
    """256 colours: a third of the size."""
    from PIL import Image  # comes with matplotlib

    with Image.open(source) as picture:
        picture.convert("RGB").quantize(256).save(target, optimize=True)


if __name__ == "__main__":
    main()
