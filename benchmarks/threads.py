"""Explanations on all cores, with linear algebra on one thread, as xaikit has it, and on all of them.

    OMP_NUM_THREADS=2 python benchmarks/threads.py

Prints milliseconds by the wall clock, and how many times as long it takes where NumPy uses all of them too.
"""

from contextlib import nullcontext
from functools import partial
from typing import Any

import timing
from cases import explained
from networks import digits, mnist_cnn, scorer
from on_tables import BACKGROUND, ROWS
from timing import Work, turns


def on_all_threads(work: Work) -> None:
    """Carry out a work that solves on as many threads as NumPy takes by itself."""
    from xaikit.attribution import _explain

    kept = _explain.one_thread
    _explain.one_thread = nullcontext  # type: ignore[assignment]
    try:
        work()
    finally:
        _explain.one_thread = kept


def main() -> None:
    timing.keep_to(timing.threads())
    digit, picture, table = mnist_cnn(), digits(1)[0], scorer(BACKGROUND)
    works: dict[str, Any] = {
        "LIME of a digit, 1,000 coalitions": partial(explained, digit, picture, "lime", samples=1000),
        "KernelSHAP of a digit, 500 coalitions": partial(explained, digit, picture, "kernel-shap", samples=500),
        "LIME of a row": partial(explained, table, ROWS[0], "lime"),
        "KernelSHAP of 20 rows, 300 coalitions": partial(explained, table, list(ROWS[:20]), "kernel-shap", samples=300),
        "occlusion of a digit": partial(explained, digit, picture, "occlusion"),
    }
    print(f"threads: {timing.threads()}; wall clock; how long it takes where NumPy uses them too")
    for name, work in works.items():
        # one side after the other, not in turns: threads that go on turning would slow the next round of the other
        one, all_ = (turns({"": side}, most=15).median("") for side in (work, partial(on_all_threads, work)))
        print(f"{name:40} {one * 1e3:7.1f} ms, {all_ / one:.2f} times as long")


if __name__ == "__main__":
    main()
