from __future__ import annotations

import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def _third_party_path():
    """A package of a third party, installed: its backend and estimator are found by entry point, here and in host processes."""
    path = str(Path(__file__).parent / "third_party")
    sys.path.append(path)
    yield path
    sys.path.remove(path)


@pytest.fixture
def third_party(_third_party_path):
    return _third_party_path
