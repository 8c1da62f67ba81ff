"""A minute of what `make torture` does for half an hour."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks, limits memory and looks into /proc")
def test_a_sample_of_torture_finds_no_fault():
    environment = os.environ | {"PYTHONPATH": str(ROOT / "tests"), "TQDM_DISABLE": "1"}
    words = [sys.executable, "-m", "torture", "--sample"]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
