"""A device named "pretend": an accelerator over ordinary memory, to test autograd's behaviour on a GPU without one.

`enable()` compiles it (10 to 30 seconds, the first time on a machine) and adds it to this process.
"""

import fcntl
import functools
import hashlib
import os
import types
from pathlib import Path

import ninja
import torch
from torch.utils import cpp_extension

SOURCE = Path(__file__).with_name("pretend.cpp")


@functools.cache
def enable() -> torch.device:
    """Add the device to torch, once per process, and return it."""
    _build_and_load()
    torch.utils.rename_privateuse1_backend("pretend")
    torch._register_device_module("pretend", _device_module())
    torch.utils.generate_methods_for_privateuse1_backend()
    return torch.device("pretend", 0)


def _build_and_load() -> None:
    installation = f"{torch.__version__} in {torch.__file__}"
    name = "blackbox_grad_pretend_" + hashlib.sha256(installation.encode()).hexdigest()[:12]
    folder = Path(cpp_extension.get_default_build_root()) / name
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] = ninja.BIN_DIR + os.pathsep + os.environ.get("PATH", "")  # torch looks for ninja there
    with open(folder / "builder", "w") as builder:
        fcntl.flock(builder, fcntl.LOCK_EX)
        (folder / "lock").unlink(missing_ok=True)  # torch's own lock outlives a build that was killed
        cpp_extension.load(name, [str(SOURCE)], extra_cflags=["-O0"], build_directory=str(folder), is_python_module=False)


def _device_module() -> types.ModuleType:
    """The functions that torch calls in `torch.pretend`."""
    module = types.ModuleType("torch.pretend")
    module.is_available = lambda: True
    module.device_count = lambda: 1
    module.current_device = lambda: 0
    module._is_in_bad_fork = lambda: False
    module.manual_seed_all = lambda seed: None
    return module
