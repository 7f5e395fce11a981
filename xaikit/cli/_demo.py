"""`xaikit demo`: one photo, four methods, both frameworks, one page."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xaikit import zoo
from xaikit.arrays import Array, agreement
from xaikit.attribution import explain
from xaikit.errors import MissingPackage
from xaikit.inputs import Classes, read_picture
from xaikit.report import write_page
from xaikit.results import Attribution
from xaikit.wrapping import frameworks

NETWORK = "cats_vs_dogs"
METHODS: Mapping[str, Mapping[str, Any]] = {
    "lime": {},
    "kernel-shap": {"samples": 1000},
    "integrated-gradients": {"steps": 200},
    "grad-cam": {},
}
"""Defaults, but for half the coalitions in kernel-shap, and as many steps as this network's kinks need."""

Results = dict[str, dict[str, Attribution]]


def run(output: Path, photo: str | None, seed: int) -> tuple[str, Path]:
    """Explain the photo, write the page, and give the answer in words and the page's absolute path."""
    installed = frameworks()
    if not installed:
        raise MissingPackage("torch or tensorflow", "torch,keras", "the demo")
    picture, credit = _picture(photo)
    timings, results = _explain(installed, picture, seed)
    card = zoo.card(NETWORK)
    page = write_page(
        output / "index.html",
        results,
        title="Why does the network see this in the photo?" if photo else "Why is this a cat?",
        summary=card.title,
        photo=picture,
        credit=credit,
        agreement=_agreement(results),
        timings=timings,
        about=_about(card),
        command=f"xaikit demo --seed {seed}" + (f" --photo {photo}" if photo else ""),
    )
    return _answer(results), page.resolve()


def _picture(photo: str | None) -> tuple[Array, str]:
    if photo is not None:
        return np.asarray(read_picture(Path(photo)).convert("RGB")), Path(photo).name
    from skimage import data

    cat: Array = data.chelsea()  # type: ignore[no-untyped-call]
    return cat, "Chelsea the cat, by Stéfan van der Walt; a sample of scikit-image, in the public domain"


def _explain(installed: list[str], picture: Array, seed: int) -> tuple[dict[str, float], Results]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    timings: dict[str, float] = {}
    results: Results = {}
    with Progress(*columns, console=Console(stderr=True)) as shown:
        for framework in installed:
            task = shown.add_task(f"{framework}: loading {NETWORK}", total=1)
            start = time.perf_counter()
            model = zoo.load(NETWORK, framework=framework)
            timings[f"{framework}: import and load"] = time.perf_counter() - start
            shown.update(task, completed=1)
            results[framework] = {name: _one(model, picture, name, seed, shown) for name in METHODS}
    return timings, results


def _one(model: Any, picture: Array, method: str, seed: int, shown: Any) -> Attribution:
    task = shown.add_task(f"{model.framework}: {method}", total=1)

    def progress(done: int, total: int) -> None:
        shown.update(task, completed=done, total=total)

    result: Attribution = explain(model, picture, method, seed=seed, progress=progress, **METHODS[method])
    shown.update(task, total=shown.tasks[task].total, completed=shown.tasks[task].total)
    return result


def _agreement(results: Results) -> dict[str, float] | None:
    """Give max|a - b| / max|a| between the two frameworks, for the output and for each method."""
    if len(results) < 2:
        return None
    first, second = list(results.values())[:2]
    found = {"output": agreement(next(iter(first.values())).prediction, next(iter(second.values())).prediction)}
    for method in METHODS:
        a, b = (r.values if r.part_values is None else r.part_values for r in (first[method], second[method]))
        found[method] = agreement(a, b)
    return {name: float(value.max()) for name, value in found.items()}


def _answer(results: Results) -> str:
    """Say the class and its probability in each framework."""
    said = {}
    for framework, by_method in results.items():
        result = next(iter(by_method.values()))
        spec: Classes = result.output_spec
        said[framework] = spec.probabilities(result.prediction)[0]
    winner = int(np.argmax(next(iter(said.values()))))
    scores = ", ".join(f"{p[winner]:.2f} {framework}" for framework, p in said.items())
    return f"{spec.label(winner)} ({scores})"


def _about(card: zoo.Card) -> dict[str, str]:
    about = {"Network": f"{card.name}, {card.parameters['total']:,} parameters"}
    if card.trained is not None:
        metrics = card.trained.metrics
        about["Test accuracy"] = f"{metrics['accuracy']:.3f} on {metrics['samples']:,} photos it never saw"
    return about
