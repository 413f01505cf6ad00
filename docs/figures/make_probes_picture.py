"""Makes `probes.svg`, the picture of probes around a setting: `python docs/figures/make_probes_picture.py`.

The contours are a real loss: a guitar through a distortion and a low-pass filter, over the drive and the cutoff. Around one
setting lie the probes of `SPSA` and of `Coordinates`, as both ask for them, only further away than usual, so that one sees them.
Needs `blackbox-grad[pedalboard,match]`.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import torch

from blackbox_grad import SPSA, Coordinates, InProcessHost, Problem, load
from blackbox_grad.audio_files import example
from blackbox_grad.effects import EffectSpec
from blackbox_grad.losses import loss_for

matplotlib.use("svg")
from matplotlib import pyplot
from matplotlib.patheffects import withStroke

PICTURE = Path(__file__).with_name("probes.svg")
ADDRESS = "pedalboard-builtin:Distortion | pedalboard-builtin:LowpassFilter"
TARGET, POINT = np.array([0.62, 0.68]), np.array([0.36, 0.56])
STEP, GRID = 0.07, 25
# Okabe and Ito's colours, told apart by colour-blind readers too
BLUE, ORANGE, BLACK = "#0072B2", "#D55E00", "#1a1a1a"


def loss_over_two_parameters():
    """`[N, 2] -> [N]`: the loss at settings."""
    audio, rate = example()
    excerpt = audio[:1, : int(rate)]
    spec, host = EffectSpec.of(ADDRESS, rate), InProcessHost()
    with load(ADDRESS, rate) as effect:
        loss = loss_for("mrstft", torch.from_numpy(effect.render(excerpt, TARGET)), rate)

    def at(points):
        sounds, _ = host.render_batch(spec, np.repeat(excerpt[None], len(points), 0), points)
        return loss(torch.from_numpy(np.array(sounds))).numpy()

    return at


def probes_of(estimator, at):
    """`[K, 2]`: the points that an estimator asks for around `POINT`."""
    asked = []

    def function(p):
        asked.append(p.reshape(-1, 2).numpy())
        return torch.from_numpy(at(p.reshape(-1, 2).numpy())).reshape(p.shape[:-1])

    estimator.estimate(Problem.of_function(function, torch.from_numpy(POINT)[None], seed=2))
    points = np.concatenate(asked)
    return points[np.abs(points - POINT).max(axis=1) > 1e-6]


def main() -> None:
    at = loss_over_two_parameters()
    ticks = np.linspace(0.1, 0.9, GRID)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1)
    losses = at(grid.reshape(-1, 2)).reshape(GRID, GRID)
    small = 0.01 * np.eye(2)
    slope = np.array([(at((POINT + e)[None]) - at((POINT - e)[None]))[0] for e in small])
    arrow = POINT - 0.15 * slope / np.linalg.norm(slope)

    with matplotlib.rc_context({"svg.hashsalt": "probes", "font.size": 11, "svg.fonttype": "path"}):
        figure, axis = pyplot.subplots(figsize=(7.2, 5.4), layout="constrained", facecolor="white")
        axis.contourf(ticks, ticks, losses, 14, cmap="Greys", alpha=0.55)
        axis.contour(ticks, ticks, losses, 14, colors="#8a8a8a", linewidths=0.6)
        halo = [withStroke(linewidth=3, foreground="white")]

        def label(text, place, offset, colour):
            axis.annotate(text, place, offset, textcoords="offset points", color=colour, path_effects=halo, fontweight="bold")

        axis.annotate("", arrow, POINT, arrowprops={"arrowstyle": "-|>", "color": BLACK, "linewidth": 2.2, "mutation_scale": 18})
        label("downhill: minus the gradient", arrow, (8, -14), BLACK)
        pair = probes_of(SPSA(step=STEP), at)
        axis.plot(*pair.T, "o--", color=BLUE, markersize=9, linewidth=1.5, markeredgecolor="white")
        label("SPSA: both parameters,\nthere and back", pair[pair[:, 0].argmax()], (12, -22), BLUE)
        single = probes_of(Coordinates(samples=2, step=STEP), at)
        for point in single:
            axis.plot(*np.stack([POINT, point]).T, ":", color=ORANGE, linewidth=2)
        axis.plot(*single.T, "s", color=ORANGE, markersize=9, markeredgecolor="white")
        label("Coordinates: one\nparameter a probe", single[single[:, 1].argmax()], (-36, 12), ORANGE)
        axis.plot(*POINT, "o", color=BLACK, markersize=11, markeredgecolor="white")
        label("current setting", POINT, (-128, -16), BLACK)
        axis.plot(*TARGET, "*", color=BLACK, markersize=18, markeredgecolor="white")
        label("target", TARGET, (10, 6), BLACK)
        axis.set(xlabel="drive, normalised", ylabel="cutoff, normalised", xlim=(0.1, 0.9), ylim=(0.3, 0.9))
        axis.set_title("The loss of a distortion with a filter: darker is higher", fontsize=11, loc="left")
        figure.savefig(PICTURE, metadata={"Date": None})
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
