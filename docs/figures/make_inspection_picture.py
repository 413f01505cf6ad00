"""Makes `inspection.png`, the picture of the page on inspection: `python docs/figures/make_inspection_picture.py`.

It inspects a real plug-in, MDA RingMod, and takes a screenshot of the report. Needs Chromium, Debian's `mda-lv2`, and
`blackbox-grad[dawdreamer,match]`.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from make_report_picture import photograph

from blackbox_grad import inspect_effect
from blackbox_grad.inspection.report import write_report

ADDRESS = "dawdreamer:http://drobilla.net/plugins/mda/RingMod"
WIDTH, HEIGHT = 1000, 1500


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write_report(page, inspect_effect(ADDRESS), command=f"blackbox-grad inspect {ADDRESS} --deep")
        photograph(page, Path(__file__).with_name("inspection.png"), WIDTH, HEIGHT)


if __name__ == "__main__":
    main()
