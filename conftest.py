"""What tests and benchmarks share: system plug-ins that are there, or left out, or required; Hypothesis made repeatable in CI."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import settings

from blackbox_grad.effects import float_mode_kept
from blackbox_grad_backends.native import plugin_folders

#: Debian's package -> a plug-in of it
PACKAGES: dict[str, tuple[str, plugin_folders.PluginKind]] = {
    "mda-lv2": ("mda.lv2", "lv2"),
    "zam-plugins": ("ZamTube.vst3", "vst3"),
}
REQUIRED = os.environ.get("BLACKBOX_GRAD_REQUIRE_PLUGINS", "") not in ("", "0")

settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("default", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "default")


def missing_packages() -> list[str]:
    return [package for package, (name, kind) in PACKAGES.items() if plugin_folders.find(name, kind) is None]


def left_out(packages: list[str]) -> str:
    return f"needs {' and '.join(packages)}"


def way_out(packages: list[str]) -> str:
    if sys.platform == "linux":
        return f"sudo apt-get install {' '.join(packages)}"
    return f"run them on Debian or Ubuntu with {' and '.join(packages)} installed"


def pytest_sessionstart() -> None:
    # A shell's background job ignores Ctrl-C and hands that on to its children; the tests of Ctrl-C need the usual.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Processes of xdist have the width of a terminal; tables are as wide as in a pipe.
    os.environ.pop("COLUMNS", None)
    if REQUIRED and (missing := missing_packages()):
        pytest.exit(
            f"BLACKBOX_GRAD_REQUIRE_PLUGINS is set, and the plug-ins of {' and '.join(missing)} are not installed; "
            f"to have them: {way_out(missing)}",
            returncode=1,
        )


@pytest.hookimpl(trylast=True)  # after -k and -m
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("plugins")]
    if marked and (missing := missing_packages()):
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=left_out(missing)))


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    missing = missing_packages()
    skipped = terminalreporter.getreports("skipped")  # of all processes of xdist
    if count := sum(left_out(missing) in str(report.longrepr) for report in skipped if missing):
        terminalreporter.write_line(
            f"Left out: {count} tests that open plug-ins of {' and '.join(missing)}; to have them: {way_out(missing)}",
            yellow=True,
        )


@pytest.fixture(autouse=True)
def own_float_mode() -> Iterator[None]:
    """A test that opens plug-ins by a host library's own calls leaves the thread as it was for the next."""
    with float_mode_kept():
        yield
