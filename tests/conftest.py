"""What tests of several rooms share."""

from __future__ import annotations

from pathlib import Path

import pytest

from algo_py.finstore import FinStore
from algo_py.finstore.sample import install_sample


@pytest.fixture(scope="session")
def sample_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A FinStore folder with the sample bars; copy it, do not write to it."""
    root = tmp_path_factory.mktemp("sample")
    install_sample(FinStore(root))
    return root
