"""Importing xaikit is quick and brings nothing heavy."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = {
    *("torch", "captum", "tensorflow", "keras", "shap", "lime", "numba", "onnxruntime"),
    *("plotly", "matplotlib", "dash", "flask", "jinja2", "rich", "click", "tqdm", "PIL"),
    *("skimage", "scipy", "sklearn", "pandas", "dask", "xaikit_torch", "xaikit_keras", "xaikit_app"),
}
CHILD = """
import json, sys, time
start = time.process_time()
import xaikit
print(json.dumps([time.process_time() - start, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@pytest.fixture(scope="module")
def imports() -> list[tuple[float, set[str]]]:
    # One thread: the start of NumPy's thread pool would count as often as there are processors.
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    child = [sys.executable, "-c", CHILD]
    runs = [subprocess.run(child, capture_output=True, check=True, env=alone) for _ in range(5)]
    return [(seconds, set(names)) for seconds, names in (json.loads(run.stdout) for run in runs)]


def test_import_brings_nothing_heavy(imports: list[tuple[float, set[str]]]) -> None:
    assert imports[0][1] & HEAVY == set()


def test_import_takes_under_a_third_of_a_second(imports: list[tuple[float, set[str]]]) -> None:
    # Seconds of the processor, the least of five: the clock on the wall measures what else the machine is doing.
    assert min(seconds for seconds, _ in imports) < 0.3
