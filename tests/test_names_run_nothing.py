"""Nothing runs that only was named: on the command line, in a file, in an environment variable."""

from __future__ import annotations

import sys

import pytest
import torch

from blackbox_grad.errors import AudioError, EstimatorError, HostError
from blackbox_grad.estimators import estimator
from blackbox_grad.hosts import host
from blackbox_grad.losses import loss_for

#: A module of a stranger's: everything in it notes that it was called.
MODULE = """
calls = []

def function(*arguments, **options):
    calls.append("function")

class Other:
    def __init__(self, *arguments, **options):
        calls.append("Other")
    def __call__(self, *arguments):
        calls.append("Other()")

class Hidden:
    estimate = render_batch = features = None
    def __init__(self, *arguments, **options):
        calls.append("Hidden")

instance = Other.__new__(Other)
"""

NAMES = [f"strangers.{name}" for name in ("function", "Other", "Hidden", "instance", "calls", "calls.append", "__import__")]
NAMES += [
    "os.system",
    "os.abort",
    "subprocess.Popen",
    "builtins.exec",
    "sys.exit",
    "shutil.rmtree",
    "torch.load",
    "os.sys.exit",
]


@pytest.fixture
def strangers(tmp_path, monkeypatch):
    (tmp_path / "strangers.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda: sys.modules["strangers"].calls if "strangers" in sys.modules else []
    sys.modules.pop("strangers", None)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("options", ["", ":command=touch sprung", ":1", ":args=['touch', 'sprung']"])
def test_only_classes_of_the_kind_are_called(name, options, strangers, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for make, error in ((estimator, EstimatorError), (host, HostError)):
        with pytest.raises(error):
            make(name + options)
    with pytest.raises(AudioError):
        loss_for(name, torch.zeros(1, 64), 44100.0)
    assert strangers() == []
    assert not (tmp_path / "sprung").exists()


def test_losses_of_torch_are_found_by_name():
    target = torch.ones(1, 64)
    for name in ("torch.nn.L1Loss", "torch.nn.functional.mse_loss"):
        assert loss_for(name, target, 44100.0)(torch.zeros(2, 1, 64)).shape == (2,)
