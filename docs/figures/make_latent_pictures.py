"""Makes `latent-*.png`, the pictures of the latent space: `python docs/figures/make_latent_pictures.py`.

It draws the latent space of four MDA effects. Needs Debian's `mda-lv2`, the corpora for evaluation, and `blackbox-grad[style]`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from make_report_picture import shrink

EFFECTS = ("Overdrive", "Delay", "Combo", "Ambience")
PARTS = ("sweeps", "sweeps-umap", "domain", "pairs-umap")
PICTURES = ("effects", *(f"{effect.lower()}-{part}" for effect in EFFECTS for part in PARTS))


def main() -> None:
    effects = [word for name in EFFECTS for word in ("--effect", f"http://drobilla.net/plugins/mda/{name}")]
    with tempfile.TemporaryDirectory() as folder:
        program = [sys.executable, "-c", "from blackbox_grad.cli import main; main()"]
        subprocess.run([*program, "style", "figures", *effects, "--points", "256", "-o", folder], check=True)
        keep(Path(folder))


def keep(folder: Path) -> None:
    """Of the figures in a folder, those that the page shows, smaller."""
    for name in PICTURES:
        shrink(folder / f"{name}.png", Path(__file__).with_name(f"latent-{name}.png"))


if __name__ == "__main__":
    main()
