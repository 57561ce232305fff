"""The short forms of `unit_tests.faults.kill_campaign`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from unit_tests.long_forms import by_hand

ROOT = Path(__file__).resolve().parents[2]


def killed(number, *options):
    """Let the campaign kill so many times."""
    command = [sys.executable, "-m", "unit_tests.faults.kill_campaign", "--kills", str(number), "--seed", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    found = subprocess.run(
        [*command, *options], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.startswith(f"{number} kills (")


@by_hand
@pytest.mark.slow
def test_after_kills_at_random_moments_the_report_is_that_of_an_undisturbed_run():
    killed(5)


@by_hand
@pytest.mark.slow
def test_so_it_is_where_a_run_on_ray_a_session_an_actor_or_a_machine_is_killed():
    pytest.importorskip("ray", reason="Ray is not installed; pip install 'parallelbench-pytest[cluster]'")
    killed(3, "--engine", "ray")
