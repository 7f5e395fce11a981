"""What a study costs beyond its methods, what a second worker gains, and whether memory grows with the inputs.

python benchmarks/study.py                    about five minutes on two processors that do nothing else
python benchmarks/study.py --pictures 1000    the gain of a second worker over so many, by two methods each
python benchmarks/study.py --quick            shows that it runs
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
    occlusion = MethodPlan("occlusion", None, {"window": 30, "stride": 20, "accelerate": "none"})
    plan = planned("cats_vs_dogs", home / "photos", occlusion, MethodPlan("integrated-gradients"))
    units, begun = 2 * count, count // 2
    pace = {}
    for number in (1, 2):
        stamps: list[float] = []
        run(plan, home / f"with-{number}", workers=number, threads=1, progress=Stamps(stamps))
        pace[number] = (units - 1 - begun) / (stamps[-1] - stamps[begun])
        yield f"{number} worker{'s' * (number > 1)} on cats_vs_dogs: {1e3 / pace[number]:.0f} ms a unit"
    yield f"two workers over one: {pace[2] / pace[1]:.2f} × (at least 1.7, where two processors are free)"


def cluster(home: Path, count: int) -> Iterator[str]:
    """Compare the pace of one worker of a Dask cluster with that of this process; and what the client itself costs."""
    pictures(home / "more", count, (28, 28))
    plan = planned("mnist_cnn", home / "more", MethodPlan("saliency"))
    for name, scheduler in (("in this process", None), ("on a Dask worker", "local")):
        stamps: list[float] = []
        clocks: list[float] = []
        both = Both(Stamps(stamps), Stamps(clocks, time.process_time))
        run(plan, home / f"by-{scheduler}", scheduler=scheduler, progress=both)
        half = count // 2
        wall, own = ((s[-1] - s[half]) / (count - 1 - half) * 1e3 for s in (stamps, clocks))
        yield f"a unit {name}: {wall:.1f} ms on the wall, {own:.1f} ms of processor time in this process"


class Both:
    """Tells two."""

    def __init__(self, *told: Callable[[Counts], None]) -> None:
        self.told = told

    def __call__(self, counts: Counts) -> None:
        for each in self.told:
            each(counts)


def storing(home: Path) -> Iterator[str]:
    """Store the map of a photo of 224 × 224."""
    import torch
    from skimage import data, transform

    from xaikit.jobs import Store

    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 7, 4), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(5)
    )
    network(torch.zeros(1, 3, 224, 224))
    model = xk.wrap(network, inputs=xk.Image(224, 224), outputs=xk.Classes(list("abcde")))
    photo = (transform.resize(data.astronaut(), (224, 224)) * 255).astype(np.uint8)
    result, store = xk.explain(model, photo, "saliency", progress=False), Store(home / "stored")
    start = time.process_time()
    for i in range(100):
        store.put(f"{i:064x}", result)
    taken = time.process_time() - start
    size = store.path("0" * 64).with_suffix(".npz").stat().st_size
    yield f"storing a map of 224 × 224 × 3: {taken * 10:.1f} ms of processor time, {size / 1e6:.2f} MB"


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
    parser.add_argument("--pictures", type=int, default=60, help="for the gain of a second worker")
    asked = parser.parse_args()
    quick = asked.quick
    import torch

    torch.set_num_threads(1)
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for told in (
            overhead(home, 20 if quick else 300),
            storing(home),
            workers(home, 8 if quick else asked.pictures),
            cluster(home, 20 if quick else 300),
            memory(home, *((20, 40) if quick else (200, 2000))),
        ):
            for line in told:
                print(line, flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == [MEMORY]:
        print(peak(Path(sys.argv[2])))
    else:
        main()
