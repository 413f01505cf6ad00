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
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        sys.exit("make_report_picture needs Chromium; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from blackbox_grad.cli import main; main()", "demo", "--output", folder]
        subprocess.run(command, check=True)
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"]
        shot = Path(folder) / "report.png"
        page = (Path(folder) / "report.html").as_uri()
        subprocess.run([browser, *options, f"--screenshot={shot}", page], check=True, stderr=subprocess.DEVNULL)
        _shrink(shot, PICTURE)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


def _shrink(source: Path, target: Path) -> None:
    """256 colours: a third of the size."""
    from PIL import Image  # comes with matplotlib

    with Image.open(source) as picture:
        picture.convert("RGB").quantize(256).save(target, optimize=True)


if __name__ == "__main__":
    main()
