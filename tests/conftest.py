from __future__ import annotations

from pathlib import Path

import pytest
from seeds import SHIFT


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Fix Hypothesis's seed as all others are, unless ``--hypothesis-seed`` says another."""
    if config.option.hypothesis_seed is None:
        config.option.hypothesis_seed = SHIFT


def pytest_report_header() -> str | None:
    return f"seeds of the tests are shifted: HALOASSAY_TEST_SEED={SHIFT}" if SHIFT else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of data made by others; a test that needs it is skipped where it is absent."""
    folder = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("external data are absent: no folder ../shared/data beside the repository")
    return folder.resolve()
