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


def test_import_takes_a_few_times_as_long_as_that_of_numpy(imports: list[tuple[float, set[str]]]) -> None:
    # A third of a second on a quiet machine; beside NumPy's, because machines differ and are busy.
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    child = [sys.executable, "-c", CHILD.replace("import xaikit", "import numpy")]
    runs = [json.loads(subprocess.run(child, capture_output=True, check=True, env=alone).stdout) for _ in range(5)]
    assert min(seconds for seconds, _ in imports) < 8 * min(seconds for seconds, _ in runs)
