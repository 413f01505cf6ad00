"""Makes `map.png`, the picture of an effect's map: `python docs/figures/make_map_picture.py`.

It makes the map of MDA Overdrive and takes a screenshot of its page. Needs Chromium, Debian's `mda-lv2`, and
`blackbox-grad[style]`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from make_report_picture import photograph

EFFECT = "http://drobilla.net/plugins/mda/Overdrive"
WIDTH, HEIGHT = 1000, 880


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "map.html"
        program = [sys.executable, "-c", "from blackbox_grad.cli import main; main()"]
        subprocess.run([*program, "style", "map", "--effect", EFFECT, "-o", page], check=True)
        photograph(page, Path(__file__).with_name("map.png"), WIDTH, HEIGHT)


if __name__ == "__main__":
    main()
