"""Many explanations in one process leave nothing behind; by hand `soak.py` does it two thousand times."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.robust.soak import CASES

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")]
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("framework", "rounds"), [("torch", 15), pytest.param("keras", 5, marks=pytest.mark.long)])
def test_nothing_is_left(framework: str, rounds: int) -> None:
    """In a process of its own: what other tests keep and give back would be measured too."""
    pytest.importorskip(framework)
    counts = {"explanations": rounds * len(CASES), "warm": 4 * len(CASES), "every": len(CASES)}
    asked = [text for name, count in counts.items() for text in (f"--{name}", str(count))]
    command = [sys.executable, "-m", "tests.robust.soak", "--framework", framework, *asked]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("hooks") == rounds
