from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def _third_party_path():
    """A third party's package, installed: its entry points are found here and in host processes."""
    path = str(Path(__file__).parent / "third_party")
    sys.path.append(path)
    yield path
    sys.path.remove(path)


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_folder(tmp_path_factory):
    """A temporary folder of the tests, for the inputs of renders that crashed, which a pool saves for the user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr(tempfile, "tempdir", None)
        yield


@pytest.fixture
def third_party(_third_party_path):
    return _third_party_path


@pytest.fixture(scope="module")
def browser():
    """Chromium, in which pages are opened and clicked."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None and not os.environ.get("BLACKBOX_GRAD_REQUIRE_PLUGINS"):
        pytest.skip("the page is tested in Chromium: sudo apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--headless", "--no-sandbox", "--disable-gpu"])
        yield started
        started.close()
