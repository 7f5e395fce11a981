"""Run the Python of pages: python run_pages.py PAGE... writes a line of JSON for each with its error and what it took.

What all pages import is imported once; then each page has a process and a folder of its own, and its blocks run one
after the other, as a reader would type them.
"""

import json
import os
import re
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(text: str) -> list[tuple[int, str]]:
    """The Python of a page: each block with the number of its first line."""
    return [(text.count("\n", 0, found.start(1)) + 1, found[1]) for found in BLOCK.finditer(text)]


def run(page: Path) -> str:
    """Run all blocks of a page in this process; give the traceback of the first that fails."""
    warnings.filterwarnings("error", category=DeprecationWarning, module="__main__")
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        for line, block in blocks(page.read_text(encoding="utf-8")):
            exec(compile("\n" * (line - 1) + block, str(page), "exec"), names)
    except BaseException:
        return traceback.format_exc()
    return ""


def apart(page: Path) -> tuple[str, float]:
    """Run a page in a process and a folder of its own; give its error and the seconds of the processor."""
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        with os.fdopen(read) as said:
            error = said.read()
        _, ended, used = os.wait4(child, 0)
        return error or (f"the process ended with {ended}" if ended else ""), used.ru_utime + used.ru_stime
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as quiet:
        os.chdir(folder)
        os.dup2(quiet.fileno(), 1)
        error = run(page)
        os.chdir("/")
    os.write(write, error[-4000:].encode())
    os._exit(0)


if __name__ == "__main__":
    import skimage.data  # noqa: F401
    import sklearn.linear_model  # noqa: F401
    import torch

    import xaikit as xk

    torch.set_num_threads(1)
    for name in ("explain", "compare", "importance", "filters", "hidden_states", "anomaly", "audit", "study", "plot"):
        getattr(xk, name)
    for given in sys.argv[1:]:
        error, seconds = apart(Path(given).resolve())
        said = {"page": given, "error": error, "seconds": round(seconds, 2)}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
