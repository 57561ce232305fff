"""The short form of `unit_tests.faults.kill_campaign`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unit_tests.long_forms import by_hand

ROOT = Path(__file__).resolve().parents[2]


@by_hand
@pytest.mark.slow
def test_after_kills_at_random_moments_the_report_is_that_of_an_undisturbed_run():
    command = [sys.executable, "-m", "unit_tests.faults.kill_campaign", "--kills", "5", "--seed", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.startswith("5 kills in ")
