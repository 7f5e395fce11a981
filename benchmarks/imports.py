"""What `import xaikit` takes, beside NumPy's own import in the same process.

    python benchmarks/imports.py [--rounds 9]

Seconds of the processor, the least of the rounds, each in a process of its own with one thread.
"""

import argparse
import json
import os
import subprocess
import sys

CHILD = """
import json, time
start = time.process_time()
import numpy
middle = time.process_time()
import xaikit
print(json.dumps([middle - start, time.process_time() - middle]))
"""


def once() -> list[float]:
    """Give the seconds of NumPy's import, and of xaikit's after it."""
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, check=True, env=alone)
    seconds: list[float] = json.loads(done.stdout)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="how many processes (default 9)")
    rounds = parser.parse_args().rounds
    numpy, xaikit = (min(side) for side in zip(*(once() for _ in range(rounds)), strict=True))
    print(f"import numpy {numpy * 1e3:.0f} ms, import xaikit {xaikit * 1e3:.0f} ms more ({xaikit / numpy:.2f} of it)")


if __name__ == "__main__":
    main()
