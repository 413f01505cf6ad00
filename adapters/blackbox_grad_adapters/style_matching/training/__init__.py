"""How encoder and controller are trained."""

from __future__ import annotations

from blackbox_grad.dependencies import library

# what is missing is said here; the modules inside import it plainly
library("lightning", "training", "style-training")
