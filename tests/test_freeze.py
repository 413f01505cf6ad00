"""The freeze cannot happen: `backward` may run on any thread while the main thread waits.

Every scenario runs in a process of its own with a time limit, so a freeze fails a test instead of stopping the suite.
"""

import faulthandler
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pretend_accelerator
import pytest
import torch
from torch.utils.cpp_extension import get_cxx_compiler

from blackbox_grad import SPSA, DifferentiableEffect, FiniteDifference, match
from blackbox_grad_backends.native import plugin_folders

SAMPLE_RATE = 44100

# Runs a function of this module; when the limit passes, writes what every thread is doing and ends the process.
RUN = """
import faulthandler, sys
import test_freeze
faulthandler.dump_traceback_later(float(sys.argv[1]), exit=True)
getattr(test_freeze, sys.argv[2])(*sys.argv[3:])
print("<scenario finished>", flush=True)
"""


@dataclass(frozen=True)
class Outcome:
    """The end of a process: its output, and whether its time limit stopped it."""

    finished: bool
    stopped: bool
    output: str


def run(scenario, *arguments, limit):
    """Run `scenario(*arguments)` in a new process with so many seconds."""
    command = [sys.executable, "-c", RUN, str(limit), scenario.__name__, *map(str, arguments)]
    path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryFile("w+", errors="replace") as output:  # a pipe would stay open in the hosts
        subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=limit + 60,
            check=False,  # a device's thread that meets the end of the interpreter aborts it: the exit code says nothing
        )
        output.seek(0)
        text = output.read()
    return Outcome(finished="<scenario finished>" in text, stopped="Timeout (" in text, output=text)


def must_finish(scenario, *arguments, limit):
    outcome = run(scenario, *arguments, limit=limit)
    if outcome.stopped:
        pytest.fail(f"FROZEN: {scenario.__name__}{arguments} did not finish within {limit} s\n{outcome.output}")
    assert outcome.finished, outcome.output
    return outcome.output


# --- Any thread of the caller --------------------------------------------------------------------------------------------


def every_backend(*ids, quick=()):
    """Parametrize by address; those of Debian's plug-ins are marked, and those that are not among the `quick`."""
    addresses = {
        "pedalboard-vst3": "pedalboard:ZamCompX2.vst3",
        "pedalboard-vst3-recreated": "pedalboard:ZamTube.vst3",  # recreated for each render, as it keeps audio over a reset
        "pedalboard-builtin": "pedalboard-builtin:Distortion",
        "dawdreamer-lv2": "dawdreamer:http://drobilla.net/plugins/mda/Overdrive",
        "dawdreamer-lv2-side-chain": "dawdreamer:urn:zamaudio:ZamComp",
        "dawdreamer-vst3-recreated": "dawdreamer:ZamTube.vst3",
        "faust": 'faust:process = *(hslider("gain", 0.5, 0, 1, 0.001)), *(hslider("gain", 0.5, 0, 1, 0.001));',
        "reference": "reference:gain",
    }
    return pytest.mark.parametrize(
        "address",
        [
            pytest.param(
                addresses[i],
                id=i,
                marks=[pytest.mark.plugins] * ("vst3" in i or "lv2" in i) + [pytest.mark.slow] * (i not in quick),
            )
            for i in ids or addresses
        ],
    )


class Watched:
    """An estimator that remembers the threads it worked on."""

    def __init__(self, estimator):
        self.estimator = estimator
        self.threads = set()

    def estimate(self, problem):
        self.threads.add(threading.get_ident())
        return self.estimator.estimate(problem)


def on_other_threads(*calls):
    """Each call on a thread of its own, all at once, while this thread waits in `join()`."""
    with ThreadPoolExecutor(len(calls)) as pool:  # leaving the block joins the threads
        futures = [pool.submit(call) for call in calls]
    return [future.result() for future in futures]


def noise(batch, channels=1):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (batch, channels, 4096)).astype(np.float32)


def made_layer(address):
    return DifferentiableEffect(address, SAMPLE_RATE, estimator=Watched(FiniteDifference("forward", step=0.05)))


def loss_and_parameters(layer):
    p = torch.full((2, len(layer.parameter_space)), 0.4, requires_grad=True)
    return layer(torch.from_numpy(noise(2)), p).square().mean(), p


def gradient(layer):
    loss, p = loss_and_parameters(layer)
    loss.backward()
    return p.grad


def backward_on_any_thread(address):
    made_elsewhere, first = on_other_threads(lambda: (layer := made_layer(address), gradient(layer)))[0]
    print("made, forward and backward on another thread", flush=True)

    made_here = made_layer(address)
    loss, p = loss_and_parameters(made_here)
    on_other_threads(loss.backward)
    print("made here, backward on another thread", flush=True)

    def of_a_new_layer():
        return gradient(made_layer(address))

    def of_the_same_layer():
        return gradient(made_here)

    at_once = on_other_threads(of_the_same_layer, of_the_same_layer, of_a_new_layer, of_a_new_layer)
    print("several threads at once", flush=True)

    for layer in (made_elsewhere, made_here):
        assert threading.get_ident() not in layer.estimator.threads
    expected = gradient(made_here)
    assert expected.abs().max() > 0
    for found in (first, p.grad, *at_once):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)


@every_backend(quick=("pedalboard-vst3-recreated", "dawdreamer-lv2"))
def test_backward_works_on_any_thread_while_the_main_thread_waits(address):
    must_finish(backward_on_any_thread, address, limit=120)


# --- The pretend accelerator ---------------------------------------------------------------------------------------------


class Witness(torch.autograd.Function):
    """Identity that remembers the thread of its `backward`."""

    thread = 0

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, cotangent):
        Witness.thread = threading.get_ident()
        return cotangent


def backward_thread_by_device():
    for device in (torch.device("cpu"), pretend_accelerator.enable()):
        x = torch.ones(3, device=device, requires_grad=True)
        Witness.apply(x).sum().backward()
        assert x.grad.device == device
        print(device.type, "caller" if Witness.thread == threading.get_ident() else "another")


@pytest.fixture(scope="module")
def device_threads():
    """Compiles the device; says on which thread `backward` runs for each device."""
    if shutil.which(get_cxx_compiler()) is None and not os.environ.get("BLACKBOX_GRAD_REQUIRE_PLUGINS"):
        pytest.skip("the pretend accelerator needs a C++ compiler: sudo apt-get install g++")
    output = must_finish(backward_thread_by_device, limit=240)
    return dict(line.split() for line in output.splitlines() if line.startswith(("cpu ", "pretend ")))


@pytest.mark.slow
def test_backward_on_the_pretend_accelerator_runs_on_another_thread(device_threads):
    assert device_threads == {"cpu": "caller", "pretend": "another"}


def train_on_the_accelerator(address):
    """A small network gets noise through an effect, and learns its settings."""
    device = pretend_accelerator.enable()
    torch.manual_seed(0)
    estimator = Watched(SPSA(samples=2, step=0.05))
    layer = DifferentiableEffect(address, SAMPLE_RATE, estimator=estimator)
    count = len(layer.parameter_space)
    network = torch.nn.Sequential(torch.nn.Linear(64, 16), torch.nn.Tanh(), torch.nn.Linear(16, count), torch.nn.Sigmoid())
    network.to(device)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    x = torch.from_numpy(noise(2)).to(device)
    target = layer(x, torch.full((1, count), 0.9, device=device))

    losses = []
    for _ in range(40):
        p = network(x[:, 0, :64])
        p.retain_grad()
        y = layer(x, p)
        loss = (y - target).square().mean() / target.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    print("loss", losses[0], "->", losses[-1])
    assert {t.device for t in (y, loss, p.grad, *(w.grad for w in network.parameters()))} == {device}
    assert estimator.threads
    assert threading.get_ident() not in estimator.threads, "backward should have run on the device's thread"
    assert np.mean(losses[-5:]) < 0.5 * losses[0], losses


@pytest.mark.slow
@every_backend("pedalboard-vst3-recreated", "pedalboard-builtin", "dawdreamer-lv2")
def test_a_network_and_an_effect_train_on_an_accelerator(address, device_threads):
    must_finish(train_on_the_accelerator, address, limit=120)


def train_and_match_with_the_accelerator_as_default():
    device = pretend_accelerator.enable()
    torch.set_default_device(device)
    x = torch.from_numpy(noise(2)[..., :2048]).to(device)
    for estimator in ("auto", "auto:items=4", "spsa:samples=2,directions=orthogonal,sides=1", "finite-difference"):
        layer = DifferentiableEffect("reference:biquad", SAMPLE_RATE, estimator=estimator, audio_gradient="lti")
        p = torch.full((2, 3), 0.4, requires_grad=True)
        assert p.device == device
        target = layer(x, torch.full((1, 3), 0.6)).detach()
        for _ in range(3):
            (layer(x, p) - target).abs().mean().backward()
            layer.loss(x, p, lambda y, t: (y - t).abs().mean((1, 2)) * torch.ones(1), target).backward()
        assert p.grad.device == device
        assert p.grad.any()
        assert torch.func.grad(lambda p: layer(x, p).square().mean())(p.detach()).any()  # noqa: B023
    found = match("reference:biquad", x[0].cpu(), target[0].cpu(), SAMPLE_RATE, renders=60)
    assert found.loss < 0.1 * found.loss_start


@pytest.mark.slow
def test_everything_works_with_an_accelerator_as_default_device(device_threads):
    must_finish(train_and_match_with_the_accelerator_as_default, limit=120)


# --- The plain way fails -------------------------------------------------------------------------------------------------


class PlainWay(torch.autograd.Function):
    """The obvious way: open the plug-in in this process, and render with it in `backward`."""

    @staticmethod
    def forward(ctx, p, render):
        ctx.p, ctx.render = p.item(), render
        return torch.from_numpy(render(ctx.p)).to(p.device)

    @staticmethod
    def backward(ctx, cotangent):
        step = 0.05
        difference = ctx.render(ctx.p + step) - ctx.render(ctx.p - step)
        return (torch.from_numpy(difference).to(cotangent.device) * cotangent).sum() / (2 * step), None


def train_the_plain_way(device_type, render):
    device = pretend_accelerator.enable() if device_type == "pretend" else torch.device("cpu")
    p = torch.tensor(0.3, device=device, requires_grad=True)
    loss = PlainWay.apply(p, render).square().mean()
    print("forward done", flush=True)
    loss.backward()
    print("gradient", p.grad.item(), p.grad.device.type, flush=True)


def plain_pedalboard(device_type):
    import pedalboard

    # It keeps audio over a reset, so Pedalboard recreates it. In one of ten openings, Pedalboard does not notice.
    openings = (pedalboard.load_plugin(str(plugin_folders.find("ZamTube.vst3", "vst3"))) for _ in range(20))
    plugin = next(p for p in openings if p._reload_type.name == "PersistsAudioOnReset")

    def render(p):
        plugin.parameters["tube_drive"].raw_value = p
        return plugin.process(noise(1)[0], SAMPLE_RATE, reset=True)

    train_the_plain_way(device_type, render)


def plain_dawdreamer(device_type):
    import dawdreamer

    engine = dawdreamer.RenderEngine(SAMPLE_RATE, 512)
    playback = engine.make_playback_processor("audio", noise(1, channels=2)[0])

    def render(p):
        faulthandler.dump_traceback_later(10, exit=True)
        print("make_plugin_processor", flush=True)
        effect = engine.make_plugin_processor("effect", "http://drobilla.net/plugins/mda/Overdrive")
        print("opened", flush=True)
        engine.load_graph([(playback, []), (effect, ["audio"])])
        effect.set_parameter(0, p)
        engine.render(4096 / SAMPLE_RATE)
        return engine.get_audio()

    train_the_plain_way(device_type, render)


@pytest.mark.slow
@pytest.mark.plugins
@pytest.mark.parametrize("scenario", [plain_pedalboard, plain_dawdreamer])
def test_the_plain_way_works_on_the_cpu(scenario):
    assert "gradient" in must_finish(scenario, "cpu", limit=60)


@pytest.mark.slow
@pytest.mark.plugins
def test_the_plain_way_raises_on_an_accelerator_with_pedalboard(device_threads):
    outcome = run(plain_pedalboard, "pretend", limit=60)
    assert "forward done" in outcome.output
    assert "must be reloaded on the main thread" in outcome.output
    assert not outcome.finished


@pytest.mark.slow
@pytest.mark.plugins
def test_the_plain_way_freezes_on_an_accelerator_with_dawdreamer(device_threads):
    outcome = run(plain_dawdreamer, "pretend", limit=120)
    assert outcome.stopped, outcome.output
    in_backward = outcome.output.partition("forward done")[2]
    assert "make_plugin_processor" in in_backward, outcome.output
    assert "opened" not in in_backward, outcome.output
