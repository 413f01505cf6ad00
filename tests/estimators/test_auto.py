"""`Auto`: single parameters for new recordings, an emulator for recordings that return."""

from __future__ import annotations

import copy
import math
import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import blackbox_grad as bg
from blackbox_grad.audio_files import example
from blackbox_grad.estimators import estimator as find_estimator
from blackbox_grad.inspection import ParameterInspection
from blackbox_grad.losses import loss_for
from blackbox_grad.search import Pursuit

OVERDRIVE = "dawdreamer:http://drobilla.net/plugins/mda/Overdrive"
EQUALISER = "pedalboard:ZamEQ2.vst3"
EMULATED, PLAIN = "auto:items=1", "coordinates"
RATE = 24000.0


def recordings(batch: int = 1, samples: int = 16384) -> torch.Tensor:
    """Real audio, `[B, 1, T]`."""
    music, _ = example()
    starts = range(20000, 20000 + batch * 40000, 40000)
    return torch.stack([torch.from_numpy(music[:1, at : at + samples].copy()) for at in starts])


def distance(y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return torch.stack([loss_for("mrstft", t, RATE)(item[None])[0] for item, t in zip(y, target, strict=True)])


@pytest.fixture
def emulated(monkeypatch: pytest.MonkeyPatch) -> list[bg.Problem]:
    """The problems that use the emulator."""
    found: list[bg.Problem] = []
    usual = bg.Problem.probe_sounds
    monkeypatch.setattr(bg.Problem, "probe_sounds", lambda problem, points: found.append(problem) or usual(problem, points))
    return found


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Pursuit, NDArray[np.float64], NDArray[np.float64]]]:
    """The settings and losses that pursuits receive."""
    found: list[Any] = []
    usual = Pursuit.tell

    def tell(pursuit: Pursuit, points: Any, losses: Any, residuals: Any) -> None:
        found.append((pursuit, points, losses))
        usual(pursuit, points, losses, residuals)

    monkeypatch.setattr(Pursuit, "tell", tell)
    return found


class Fit:
    """A loop that fits settings to a target. Keeps the lowest loss, and its number of renders."""

    def __init__(self, address: str, estimator: str | bg.Auto, hidden: float = 0.7, batch: int = 1) -> None:
        self.host = bg.InProcessHost()
        self.layer = bg.DifferentiableEffect(address, RATE, estimator=estimator, host=self.host)
        self.x = recordings(batch)
        self.hidden = torch.full((batch, len(self.layer.parameter_space)), hidden, dtype=torch.float64)
        with torch.no_grad():
            self.target = self.layer(self.x, self.hidden)
        self.p = torch.nn.Parameter(torch.full_like(self.hidden, 0.2))
        self.losses: list[torch.Tensor] = []

    def loss(self, y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        found = distance(y, target)
        self.losses.append(found.detach())
        return found

    def run(self, steps: int) -> torch.Tensor:
        """The lowest loss of each item, relative to the first, after a number of steps."""
        torch.manual_seed(0)
        adam = torch.optim.Adam([self.p], lr=0.03)
        for _ in range(steps):
            adam.zero_grad()
            self.layer.loss(self.x, self.p, self.loss, self.target).backward()
            adam.step()
            self.p.data.clamp_(0.0, 1.0)
        losses = torch.stack(self.losses)
        return losses.min(0).values / losses[0]


@pytest.mark.slow
@pytest.mark.plugins
def test_where_the_same_recordings_come_again_it_finds_settings_in_a_fraction_of_the_renders():
    assert Fit(OVERDRIVE, EMULATED).run(20) < 0.02
    assert Fit(OVERDRIVE, PLAIN).run(20) > 0.1


@pytest.mark.slow
def test_the_settings_go_there_too_and_every_item_to_its_own():
    fit = Fit("reference:soft-clip", bg.Auto(items=3), batch=3)
    fit.hidden[1], fit.hidden[2] = 0.4, 0.9
    with torch.no_grad():
        fit.target = fit.layer(fit.x, fit.hidden)
    assert (fit.run(60) < 0.02).all()
    assert (fit.p - fit.hidden).abs().max() < 0.08


def test_what_is_new_gets_the_estimate_of_coordinates():
    gradients = []
    for estimator in ("auto", PLAIN):
        layer = bg.DifferentiableEffect("reference:biquad", RATE, estimator=estimator, host=bg.InProcessHost())
        p = torch.full((1, 3), 0.4, requires_grad=True)
        torch.manual_seed(3)
        for x in recordings(3).split(1):
            layer.loss(x, p, distance, 0.5 * x).backward()
        layer(x, p).square().sum().backward()
        layer(x, p).square().sum().backward()  # cotangent probes know no target
        gradients.append(p.grad)
    assert torch.equal(*gradients)


def test_a_batch_of_more_items_than_it_remembers_gets_the_estimate_of_coordinates():
    gradients = []
    for estimator in (bg.Auto(items=2), bg.Coordinates()):
        fit = Fit("reference:gain", estimator, batch=3)
        fit.run(5)
        gradients.append(fit.p.grad)
    assert torch.equal(*gradients)


def test_a_loss_that_does_not_follow_the_target_is_left_to_coordinates(emulated: list[bg.Problem]):
    layer = bg.DifferentiableEffect("reference:soft-clip", RATE, estimator=EMULATED, host=bg.InProcessHost())
    x = recordings()
    p = torch.nn.Parameter(torch.full((1, 2), 0.3))

    def louder_is_better(y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return -y.square().mean((1, 2))

    adam = torch.optim.Adam([p], lr=0.03)
    torch.manual_seed(0)
    for _ in range(40):
        adam.zero_grad()
        layer.loss(x, p, louder_is_better, 0.01 * x).backward()
        adam.step()
        p.data.clamp_(0.0, 1.0)
    assert p.min() > 0.8
    assert 0 < len(emulated) < 10


@pytest.mark.slow
def test_where_the_point_rests_the_estimates_are_right_on_average():
    layer = bg.DifferentiableEffect("reference:biquad", RATE, estimator=EMULATED, host=bg.InProcessHost())
    exact = bg.DifferentiableEffect("reference:biquad", RATE, estimator="finite-difference", host=bg.InProcessHost())
    gradients = []
    torch.manual_seed(0)
    for each, count in ((layer, 300), (exact, 1)):
        p = torch.full((1, 3), 0.4, requires_grad=True)
        for _ in range(count):
            (each.loss(recordings(), p, distance, 0.5 * recordings()) / count).backward()
        gradients.append(p.grad[0])
    assert (gradients[0] - gradients[1]).norm() < 0.2 * gradients[1].norm()


@pytest.mark.slow
def test_a_loss_that_changes_is_forgotten():
    """First the target is far above, then there is no target: the old memory would lead up."""
    layer = bg.DifferentiableEffect("reference:gain", RATE, estimator=EMULATED, host=bg.InProcessHost())
    x, p = recordings(), torch.nn.Parameter(torch.full((1, 1), 0.4))
    sign = 1.0

    def loss(y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return sign * distance(y, target)

    adam = torch.optim.Adam([p], lr=0.02, betas=(0.5, 0.9))
    target = layer(x, torch.full((1, 1), 0.7)).detach()
    for _ in range(20):
        adam.zero_grad()
        layer.loss(x, p, loss, target).backward()
        adam.step()
    assert p.item() == pytest.approx(0.7, abs=0.02)
    sign = -1.0
    with torch.no_grad():
        p.fill_(0.6)
    for _ in range(8):
        adam.zero_grad()
        layer.loss(x, p, loss, target).backward()
        adam.step()
    for _ in range(20):
        adam.zero_grad()
        layer.loss(x, p, loss, target).backward()
        adam.step()
    assert p.item() < 0.5


def test_a_loss_that_is_random_is_left_to_coordinates(emulated: list[bg.Problem]):

    def loss(y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        start = int(torch.randint(y.shape[-1] // 2, ()))
        return (y - target)[..., start : start + 4096].abs().mean((1, 2))

    fit = Fit("reference:soft-clip", EMULATED)
    fit.loss = lambda y, target: fit.losses.append(loss(y, target).detach()) or loss(y, target)
    fit.run(100)
    assert len(emulated) < 10


def test_settings_that_several_recordings_share_go_where_all_agree(emulated: list[bg.Problem]):
    """Each item alone would lead elsewhere: the default must not follow each one."""
    layer = bg.DifferentiableEffect("reference:gain", RATE, estimator=EMULATED, host=bg.InProcessHost())
    x = recordings(2)
    with torch.no_grad():
        target = layer(x, torch.tensor([[0.4], [0.8]]))
    p = torch.nn.Parameter(torch.full((1, 1), 0.1))
    adam = torch.optim.Adam([p], lr=0.02)

    def loss(y: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (y - target).square().mean()

    for _ in range(60):
        adam.zero_grad()
        layer.loss(x, p, loss, target).backward()
        adam.step()
    grid = torch.linspace(0, 1, 101)
    with torch.no_grad():
        best = grid[min(range(101), key=lambda i: float(loss(layer(x, grid[i].reshape(1, 1)), target)))]
    assert p.item() == pytest.approx(float(best), abs=0.03)
    assert not emulated


def test_what_is_silent_is_survived():
    fit = Fit("reference:biquad", bg.Auto(items=2), batch=2)
    fit.x[1] = 0.0
    with torch.no_grad():
        fit.target = fit.layer(fit.x, fit.hidden)
    assert fit.run(20)[0] < 0.6


def test_all_that_a_loss_is_given_must_come_again(emulated: list[bg.Problem]):
    """The first of two targets stays, the other one does not."""
    layer = bg.DifferentiableEffect("reference:gain", RATE, estimator=EMULATED, host=bg.InProcessHost())
    x, p = recordings(), torch.nn.Parameter(torch.full((1, 1), 0.4))
    for step in range(8):
        p.data.fill_(0.4 + 0.01 * step)
        layer.loss(x, p, lambda y, dry, t: (y - t).abs().mean((1, 2)), x, 0.1 * step * x).backward()
    assert not emulated


def test_a_point_that_jumps_is_new():
    """Gradients that are compared over the box must not be chords."""
    layer = bg.DifferentiableEffect("reference:gain", RATE, estimator=EMULATED, host=bg.InProcessHost())
    exact = bg.DifferentiableEffect("reference:gain", RATE, estimator="finite-difference", host=bg.InProcessHost())
    for where in (0.2, 0.6, 0.3, 0.9, 0.5):
        gradients = []
        for each in (layer, exact):
            p = torch.full((1, 1), where, requires_grad=True)
            each.loss(recordings(), p, distance, 0.5 * recordings()).backward()
            gradients.append(p.grad.item())
        assert gradients[0] == pytest.approx(gradients[1], rel=0.05)


def test_renders_that_are_not_finite_are_survived(third_party: str, told: list[Any]):
    host = bg.InProcessHost()
    layer = bg.DifferentiableEffect("faulty:nan", RATE, estimator=EMULATED, on_nonfinite="silence", host=host)
    x = recordings()
    p = torch.nn.Parameter(torch.full((1, len(layer.parameter_space)), 0.3))
    broken = 0
    for step in range(24):
        p.data.fill_(0.51 if step % 4 == 1 else 0.3 + 0.001 * step)  # above a half it returns NaN, in the forward render too
        before = layer.nonfinite
        with torch.no_grad():
            layer(x, p)
        broken += layer.nonfinite - before
        layer.loss(x, p, distance, 0.4 * x).backward()
    assert broken == 6
    assert torch.isfinite(p.grad).all()
    assert any(np.isfinite(losses).any() for _, _, losses in told)
    assert all((points[np.isfinite(losses)] <= 0.5).all() for _, points, losses in told)


@pytest.mark.slow
def test_where_all_levels_are_known_it_goes_on_without_new_renders(told: list[Any]):
    """Two items with the six modes of a filter in different order."""
    host = bg.InProcessHost()
    layer = bg.DifferentiableEffect(
        "pedalboard-builtin:LadderFilter", RATE, parameters=["mode"], estimator="auto:items=2", host=host
    )
    x, modes = recordings(2), torch.linspace(0, 1, 6)
    with torch.no_grad():
        target = layer(x, modes[[1, 4], None])
    for step in range(24):
        p = modes[[abs(step % 10 - 5), step // 4], None].requires_grad_()
        layer.loss(x, p, distance, target).backward()
        assert torch.isfinite(p.grad).all()
    assert p.grad.any()
    for pursuit in {
        id(pursuit): pursuit for pursuit, _, _ in told[-2:]
    }.values():  # one an item, once it is known which view is best
        assert {round(5 * float(p)) for other, points, _ in told if other is pursuit for (p,) in points} == set(range(6))


@pytest.mark.slow
def test_many_parameters_are_emulated_too(emulated: list[bg.Problem]):
    fit = Fit(" | ".join(["reference:biquad"] * 22), EMULATED)
    assert fit.p.shape[1] == 66
    fit.run(40)
    assert emulated


@pytest.mark.slow
def test_runs_repeat_and_a_copy_knows_what_was_heard():
    runs = [Fit("reference:biquad", EMULATED).run(15) for _ in range(2)]
    assert torch.equal(*runs)
    fit = Fit("reference:biquad", EMULATED)
    fit.run(15)
    gradients = []
    fresh = Fit("reference:biquad", EMULATED).layer
    for layer in (copy.deepcopy(fit.layer), pickle.loads(pickle.dumps(fit.layer)), fit.layer, fresh):
        p = fit.p.detach().clone().requires_grad_()
        torch.manual_seed(1)
        layer.loss(fit.x, p, distance, fit.target).backward()
        gradients.append(p.grad)
    assert torch.equal(gradients[0], gradients[2])
    assert torch.equal(gradients[1], gradients[2])
    assert not torch.equal(gradients[3], gradients[2])  # that of Coordinates


# with an inspection


def inspection(*parameters: ParameterInspection, address: str = "reference:biquad") -> bg.Inspection:
    return bg.Inspection(address, "biquad", RATE, "mono", 0, parameters)


def test_what_does_not_reach_the_sound_is_never_moved_and_the_others_are_told_apart():
    """Eight parameters, three of them audible: three one-sided probes give the gradient of an affine function."""
    slopes = torch.zeros(8, dtype=torch.float64)
    slopes[[1, 4, 6]] = torch.tensor([3.0, -0.5, 40.0]).double()
    found = inspection(*(ParameterInspection(f"p{i}", "continuous", reaches_sound=bool(s)) for i, s in enumerate(slopes)))
    asked = []

    def watch(p: torch.Tensor) -> torch.Tensor:
        asked.append(p)
        return p @ slopes

    problem = bg.Problem.of_function(watch, torch.rand(5, 8))
    gradient = bg.Auto(samples=3, inspection=found).estimate(problem).gradient
    torch.testing.assert_close(gradient, slopes.expand(5, -1))
    assert problem.probes == 3
    assert all(torch.equal(p[..., slopes == 0], problem.point.expand_as(p)[..., slopes == 0]) for p in asked)


@pytest.mark.slow
def test_where_recordings_come_again_what_is_audible_is_emulated_alone(told: list[Any]):
    address = "reference:soft-clip"
    found = inspection(ParameterInspection("Drive", "continuous", reaches_sound=False), address=address)
    fit = Fit(address, bg.Auto(items=1, inspection=found))
    fit.hidden[:, 0] = 0.2  # where it stays
    with torch.no_grad():
        fit.target = fit.layer(fit.x, fit.hidden)
    assert fit.run(40) < 0.02
    assert fit.p[0, 0] == 0.2
    assert {points.shape[1] for _, points, _ in told} == {1}


def test_an_influence_that_is_not_known_is_taken_for_a_usual_one():
    influences = {"p0": 1.0, "p1": math.inf, "p2": None}
    found = inspection(*(ParameterInspection(name, "continuous", influence=i) for name, i in influences.items()))
    problem = bg.Problem.of_function(lambda p: p.sum(-1), torch.full((20, 3), 0.5))
    assert bg.Auto(samples=1, inspection=found).estimate(problem).gradient.any(0).all()


@pytest.mark.parametrize(
    "make", [lambda found: bg.Auto(samples=2, inspection=found), lambda found: bg.Inspected("spsa", found)]
)
def test_the_recommended_steps_are_taken_and_the_usual_one_where_there_is_none(make):
    found = inspection(ParameterInspection("p0", "continuous", step=0.2), ParameterInspection("p1", "continuous"))
    asked = []
    problem = bg.Problem.of_function(lambda p: asked.append(p) or p.sum(-1), torch.full((8, 2), 0.5))
    estimator = make(found)
    estimator.step = 0.04
    estimator.estimate(problem)
    moved = (torch.cat([p.reshape(-1, 2) for p in asked]) - 0.5).abs().amax(0)
    torch.testing.assert_close(moved, torch.tensor([0.2, 0.04], dtype=torch.float64))


def test_influential_parameters_are_probed_more_often_from_the_beginning():
    found = inspection(
        ParameterInspection("p0", "continuous", influence=100.0), ParameterInspection("p1", "continuous", influence=1.0)
    )
    gradient = bg.Auto(samples=1, inspection=found).estimate(
        bg.Problem.of_function(lambda p: p.sum(-1), torch.full((400, 2), 0.5))
    )
    probed = (gradient.gradient != 0).sum(0)
    assert probed[0] > 3 * probed[1] > 0


def test_where_nothing_is_heard_nothing_is_probed():
    problem = bg.Problem.of_function(lambda p: p.sum(-1), torch.full((2, 1), 0.5))
    estimator = bg.Auto(inspection=inspection(ParameterInspection("p0", "continuous", reaches_sound=False)))
    assert not estimator.estimate(problem).gradient.any()
    assert problem.probes == 0


def test_more_probes_than_there_is_to_learn_are_not_made():
    problem = bg.Problem.of_function(lambda p: p.sum(-1), torch.full((2, 3), 0.5))
    bg.Auto(samples=50).estimate(problem)
    assert problem.probes == 3


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.plugins
def test_a_layer_measures_its_effect_once_and_does_not_probe_what_is_not_heard(own_cache: None):
    """One probe for two parameters of ZamEQ2, one of which is inaudible: the difference along the other."""
    options = {"parameters": ["Peaks ON", "Boost/Cut 1"], "host": bg.InProcessHost()}
    layer = bg.DifferentiableEffect(EQUALISER, RATE, estimator="auto:samples=1,inspection=measure", **options)
    other = bg.DifferentiableEffect(EQUALISER, RATE, estimator="finite-difference:step=0.001", **options)
    gradients = []
    for each in (layer, other):
        p = torch.full((1, 2), 0.7, requires_grad=True)
        each(recordings(), p).square().sum().backward()
        gradients.append(p.grad[0])
    assert gradients[0][0] == 0.0
    torch.testing.assert_close(*gradients, rtol=0.1, atol=0.0)
    found = layer.estimator.inspection
    again = bg.DifferentiableEffect(EQUALISER, RATE, estimator=bg.Auto(inspection="measure"), **options)
    assert again.estimator.inspection == found
    assert copy.deepcopy(layer).estimator.inspection == pickle.loads(pickle.dumps(layer)).estimator.inspection == found


def test_cotangents_of_what_moves_phase_are_warned_of_once_and_losses_are_not():
    delay = "pedalboard-builtin:Delay"
    found = bg.inspect_effect(delay, RATE, parameters="continuous", render_limit=400)
    assert found["delay_seconds"].probe_kind == "loss"
    layer = bg.DifferentiableEffect(delay, RATE, estimator=bg.Auto(inspection=found), host=bg.InProcessHost())
    x, p = recordings(), torch.full((1, 3), 0.4, requires_grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer.loss(x, p, distance, 0.5 * x).backward()
    with pytest.warns(UserWarning, match=r"nothing about delay_seconds.*layer.loss"):
        layer(x, p).square().sum().backward()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layer(x, p).square().sum().backward()


def test_an_inspection_of_another_effect_is_refused():
    found = inspection(ParameterInspection("Gain", "continuous"))
    with pytest.raises(
        bg.errors.EstimatorError, match="the inspection is of reference:biquad, and the effect is reference:gain"
    ):
        bg.DifferentiableEffect("reference:gain", estimator=bg.Auto(inspection=found), host=bg.InProcessHost())
    with pytest.raises(bg.errors.EstimatorError, match="needs an effect"):
        bg.Auto(inspection="measure").estimate(bg.Problem.of_function(lambda p: p.sum(-1), torch.zeros(1, 1)))


def test_without_scipy_the_default_works_and_an_emulator_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert find_estimator("auto").estimate(bg.Problem.of_function(lambda p: p.sum(-1), torch.zeros(1, 1))).gradient == 1.0
    with pytest.raises(bg.errors.MissingDependencyError, match=r"^the estimator 'auto:items=…' needs scipy.*\[match\]'$"):
        find_estimator("auto:items=1")


def test_wrong_options_are_refused():
    with pytest.raises(bg.errors.EstimatorError, match="inspection='cached'"):
        bg.Auto(inspection="cached")
    with pytest.raises(bg.errors.EstimatorError, match="Auto: step={'Gain': 0.1}"):
        bg.Auto(step={"Gain": 0.1})
    with pytest.raises(bg.errors.EstimatorError, match="items=-1"):
        bg.Auto(items=-1)
    with pytest.raises(bg.errors.EstimatorError, match="samples=0"):
        bg.Auto(samples=0)
