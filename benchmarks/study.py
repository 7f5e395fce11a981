"""What a study costs beyond its methods, what a second worker gains, and whether memory grows with the inputs.

python benchmarks/study.py            about five minutes on two processors that do nothing else
python benchmarks/study.py --quick    shows that it runs
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

import xaikit as xk
from xaikit.study import Counts, InputsPlan, MethodPlan, Plan, run

MEMORY = "memory of"


def pictures(folder: Path, count: int, size: tuple[int, ...]) -> None:
    folder.mkdir()
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 256, size).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:06}.png")


def planned(model: str, folder: Path, *methods: MethodPlan) -> Plan:
    return Plan(model, InputsPlan((folder.name,)), methods, "torch", root=str(folder.parent))


def overhead(home: Path, count: int) -> Iterator[str]:
    """Compare a study in one process with the same calls of xk.explain, which take turns with it."""
    model = xk.zoo.load("mnist_cnn", framework="torch")
    pictures(home / "digits", count, (28, 28))
    files = [str(f) for f in sorted((home / "digits").iterdir())]
    plan = planned("mnist_cnn", home / "digits", MethodPlan("saliency"))
    for name, clock in (("wall", time.perf_counter), ("processor", time.process_time)):
        extra = []
        for turn in range(3):
            start = clock()
            for file in files:
                xk.explain(model, file, "saliency", progress=False)
            alone = clock() - start
            stamps: list[float] = []
            run(plan, home / f"{name}-{turn}", progress=Stamps(stamps, clock))
            extra.append((stamps[-1] - stamps[0]) / (count - 1) - alone / count)
        yield f"overhead of a unit, {name} time: {np.median(extra) * 1e3:.2f} ms (at most 5), over {count} pictures"


class Stamps:
    """Notes when units end."""

    def __init__(self, stamps: list[float], clock: Callable[[], float] = time.perf_counter) -> None:
        self.stamps, self.clock = stamps, clock

    def __call__(self, counts: Counts) -> None:
        self.stamps.append(self.clock())


def workers(home: Path, count: int) -> Iterator[str]:
    """Compare the pace of one and of two processes of one thread each, once all are at work."""
    pictures(home / "photos", count, (150, 150, 3))
    method = MethodPlan("occlusion", None, {"window": 30, "stride": 20, "accelerate": "none"})
    plan = planned("cats_vs_dogs", home / "photos", method)
    pace = {}
    for number in (1, 2):
        stamps: list[float] = []
        run(plan, home / f"with-{number}", workers=number, threads=1, progress=Stamps(stamps))
        begun = count // 4
        pace[number] = (count - 1 - begun) / (stamps[-1] - stamps[begun])
        yield f"{number} worker{'s' * (number > 1)} on cats_vs_dogs: {1e3 / pace[number]:.0f} ms a unit"
    yield f"two workers over one: {pace[2] / pace[1]:.2f} × (at least 1.7, where two processors are free)"


def memory(home: Path, few: int, many: int) -> Iterator[str]:
    """Compare the peak memory of studies of few and of many inputs, each in a process of its own."""
    found = {}
    for count in (few, many):
        place = home / f"of-{count}"
        pictures(place, count, (28, 28))
        told = subprocess.run(
            [sys.executable, __file__, MEMORY, str(place)], capture_output=True, text=True, check=True
        )
        found[count] = float(told.stdout.split()[-1])
        yield f"peak memory with {count} inputs: {found[count]:.0f} MB"
    yield f"memory of an input more: {(found[many] - found[few]) * 1e3 / (many - few):.1f} kB"


def peak(place: Path) -> float:
    """Run a study and give the peak memory of this process in MB."""
    run(planned("mnist_cnn", place, MethodPlan("saliency")), place.with_name(place.name + "-out"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    import torch

    torch.set_num_threads(1)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for told in (
            overhead(home, 20 if quick else 300),
            workers(home, 12 if quick else 60),
            memory(home, *((20, 40) if quick else (200, 2000))),
        ):
            for line in told:
                print(line, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == [MEMORY]:
        print(peak(Path(sys.argv[2])))
    else:
        main()
