"""How long the app keeps people waiting, in a real Chromium, and what many sessions at once do to it.

    OMP_NUM_THREADS=1 python benchmarks/app.py [--model mnist_cnn] [--runs 7] [--sessions 20] [--write]

It serves the app from a process of its own with a fresh store, opens each page once so that the server is warm, and
then in fresh sessions with empty caches. Medians of the runs, with the slowest. Then so many sessions at once ask each
for 10 stored and 2 new explanations over HTTP, three times; every result is compared with xk.explain. With --write the
figures become the table of docs/deployment.md; times are worth something only on a machine with nothing else to do.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from visitors import Seen, crowd

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "deployment.md"
BEGIN, END = "<!-- figures: python benchmarks/app.py --write -->", "<!-- end of figures -->"
STORED, FRESH, ROUNDS = 10, 2, 3
LAYER = "conv1"
METHOD, SAMPLES = "smooth-grad", 20
ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
MARKS = """
new MutationObserver(() => {
  const title = document.querySelector(".page-title");
  if (title && !window.titleAt) { window.titleAt = performance.now(); }
  if (title && !window.idleAt && !document.querySelector(".waiting")) { window.idleAt = performance.now(); }
}).observe(document, { childList: true, subtree: true });
"""
READ = """() => ({
  paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
  title: window.titleAt,
  idle: window.idleAt,
  weight: performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
    .reduce((sum, one) => sum + one.transferSize, 0) / 1e6,
  decoded: performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
    .reduce((sum, one) => sum + one.decodedBodySize, 0) / 1e6,
})"""
RUN = """method => new Promise(done => {
  const begun = performance.now(), chosen = `[data-testid=attribution][data-method="${method}"]`;
  const watch = new MutationObserver(() => {
    if (!document.querySelector(chosen)) { return; }
    watch.disconnect();
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - begun)));
  });
  watch.observe(document.body, { childList: true, subtree: true });
  document.getElementById("explain-run").click();
})"""
METHODS = ("saliency", "integrated-gradients")


@dataclass
class Figures:
    """What was measured: rows of name, figure and limit, printed as they come."""

    rows: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, name: str, figure: str, limit: str = "") -> None:
        self.rows.append((name, figure, limit))
        print(f"{name}: {figure}{f' (limit {limit})' if limit else ''}", flush=True)

    def told(self, name: str, values: Sequence[float], unit: str, limit: float) -> None:
        """Add the median of some values and the largest, and what they are held to."""
        digits = 0 if unit == "ms" else 2
        said = f"{statistics.median(values):.{digits}f} {unit}, at most {max(values):.{digits}f}"
        self.add(name, said, f"{limit:g} {unit}")


@contextmanager
def serving(model: str, cache: str, figures: Figures) -> Iterator[tuple[str, int]]:
    """Serve the app in a process of its own; tell how long it took to start, and give its address and process."""
    command = [sys.executable, "-c", "from xaikit.cli import main; main()", "app", "--port", "0", "--cache", cache]
    begun = time.perf_counter()
    process = subprocess.Popen([*command, "-m", model], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        figures.add("start of the server", f"{time.perf_counter() - begun:.2f} s")
        yield address, process.pid
    finally:
        process.terminate()
        process.wait(20)


def opened(browser: Any, address: str) -> Any:
    """Open an address in a fresh session and wait until nothing on the page waits; give the page."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True).new_page()
    page.set_default_timeout(120_000)
    page.add_init_script(MARKS)
    page.goto(address)
    page.wait_for_function("window.idleAt")
    page.wait_for_load_state("networkidle")
    return page


def opening(browser: Any, name: str, address: str, runs: int, figures: Figures) -> None:
    """Tell how long a page takes to open."""
    opened(browser, address).context.close()
    found: list[dict[str, float]] = []
    for _ in range(runs):
        page = opened(browser, address)
        found.append(page.evaluate(READ))
        page.context.close()
    figures.told(f"{name}: first paint", [one["paint"] / 1e3 for one in found], "s", 1.5)
    figures.told(f"{name}: its heading and controls", [one["title"] / 1e3 for one in found], "s", 2.5)
    figures.told(f"{name}: nothing waits any more", [one["idle"] / 1e3 for one in found], "s", 2.5)
    figures.told(f"{name}: bytes over the line", [one["weight"] for one in found], "MB", 6)
    figures.told(f"{name}: the same unpacked", [one["decoded"] for one in found], "MB", 6)


def stored_maps(browser: Any, address: str, runs: int, figures: Figures) -> None:
    """Tell how long a stored explanation takes from the click to the picture."""
    times = []
    for run in range(runs + 1):
        page = opened(browser, f"{address}&methods={METHODS[0]}")
        page.wait_for_selector("[data-testid=prediction]")
        if run == 0:  # the first makes both
            page.evaluate(RUN, METHODS[0])
        page.evaluate("m => document.querySelector(`input[id*='explain-method'][id*='\"${m}\"']`).click()", METHODS[1])
        page.wait_for_function("m => location.search.includes(m)", arg=METHODS[1])
        took = page.evaluate(RUN, METHODS[1])
        times += [took] if run else []
        page.context.close()
    figures.told("a stored explanation, from the click to the picture", times, "ms", 300)


def hovering(browser: Any, address: str, figures: Figures) -> None:
    """Count the requests while the pointer goes over a receptive field."""
    page, asked = opened(browser, address), list[str]()
    page.wait_for_selector("[data-sight]", state="attached")
    page.locator(".sight-map.focusable").scroll_into_view_if_needed()
    box = page.locator(".sight-map.focusable").bounding_box()
    page.on("request", lambda request: asked.append(request.url) if "tray-" not in (request.post_data or "") else None)
    for share in np.linspace(0.05, 0.95, 20):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + share * box["height"])
    words = page.inner_text(".sight-words")
    assert "sees rows" in words, words
    page.wait_for_load_state("networkidle")
    figures.add("requests while the pointer goes over a receptive field", str(len(asked)), "0")
    page.context.close()


# ---------------------------------------------------------------- many sessions


def many(url: str, server: int, model: str, sessions: int, figures: Figures) -> None:
    """Have many sessions ask at once, and look at what they got and at what is left of it."""
    figures.add("memory before", held(server))
    for round in range(1, ROUNDS + 1):
        wishes = [
            [
                *((n % STORED, 1) for n in range(STORED)),
                *((who % STORED, 1000 * round + 10 * who + n) for n in range(FRESH)),
            ]
            for who in range(sessions)
        ]
        if round == 1:
            crowd(url, [[address_of(model, *each) for each in wishes[0][:STORED]]])
        begun, spent = time.perf_counter(), busy(server)
        found = crowd(url, [[address_of(model, *each) for each in one] for one in wishes])
        took, spent = time.perf_counter() - begun, busy(server) - spent
        seen = [one for visitor in found for one in visitor]
        wrong = mixed_up(model, wishes, found)
        asked = f"{sessions} sessions, round {round}"
        figures.add(f"{asked}: explanations", f"{len(seen)} in {took:.1f} s, {spent:.1f} s of processors")
        figures.add(f"{asked}: results that are not their own", str(wrong), "0")
        for name, stored in (("stored", True), ("new", False)):
            times = [one.seconds for one in seen if one.stored is stored]
            figures.add(f"{asked}: {len(times)} {name}", f"{statistics.median(times):.2f} s, at most {max(times):.2f}")
        figures.add(f"{asked}: memory after", held(server))


def address_of(model: str, sample: int, seed: int) -> str:
    """Give the address of an explanation."""
    asked = f"methods={METHOD}&{METHOD}.samples={SAMPLES}&seed={seed}&view=expert"
    return f"/explain?model={model}&framework=torch&sample=test-{sample}&{asked}"


def mixed_up(model: str, wishes: Sequence[Sequence[tuple[int, int]]], found: Sequence[Sequence[Seen]]) -> int:
    """Count the results that are not those of their own input and seed."""
    import xaikit as xk
    import xaikit.data

    net = xk.zoo.load(model, framework="torch")
    x = xk.data.load(xk.zoo.card(model).data["name"]).read("test").x
    known: dict[tuple[int, int], Any] = {}
    wrong = 0
    for one, got in zip(wishes, found, strict=True):
        for each, seen in zip(one, got, strict=True):
            if each not in known:
                known[each] = xk.explain(net, x[each[0]], METHOD, seed=each[1], samples=SAMPLES).values
            wrong += not np.allclose(seen.result.values, known[each], rtol=1e-4, atol=1e-6)
    return wrong


def held(server: int) -> str:
    """Say what the server and its workers hold: memory, open files, threads."""
    said = []
    for name, pids in (("server", [server]), ("workers", children(server))):
        memory = sum(int(_status(pid, "VmRSS").split()[0]) for pid in pids) / 1024
        files = sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)
        threads = sum(int(_status(pid, "Threads")) for pid in pids)
        said.append(f"{name} {memory:.0f} MiB, {files} files, {threads} threads")
    return "; ".join(said)


def busy(server: int) -> float:
    """Give the seconds of processors that the server and its workers have spent."""
    each = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in (server, *children(server))]
    return sum(int(one[11]) + int(one[12]) for one in each) / os.sysconf("SC_CLK_TCK")


def children(pid: int) -> list[int]:
    """Give the processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _status(pid: int, name: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


# ---------------------------------------------------------------- the page


def written(figures: Figures, load: float) -> None:
    """Put the figures into the page, in place of the earlier ones."""
    text = PAGE.read_text(encoding="utf-8")
    head, _, rest = (text if BEGIN in text else f"{text}\n## What it takes\n\n{BEGIN}").partition(BEGIN)
    tail = rest.partition(END)[2]
    rows = "\n".join(f"| {name} | {figure} | {limit} |" for name, figure, limit in figures.rows)
    where = f"{os.cpu_count()} processors, {platform.machine()}, Python {platform.python_version()}"
    noted = f"Measured on {where}; load before: {load:.1f} processes for each processor."
    PAGE.write_text(
        f"{head}{BEGIN}\n{noted}\n\n| | measured | limit |\n|---|---|---|\n{rows}\n{END}{tail or chr(10)}",
        encoding="utf-8",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mnist_cnn", help="a network of the zoo that takes pictures")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--clicks", type=int, default=20, help="stored explanations in the browser")
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--write", action="store_true", help="write the table of docs/deployment.md")
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    figures, load = Figures(), os.getloadavg()[0] / (os.cpu_count() or 1)
    figures.add("load before", f"{load:.1f} processes for each processor")
    with (
        tempfile.TemporaryDirectory() as cache,
        serving(asked.model, cache, figures) as (address, server),
        sync_playwright() as play,
    ):
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        query = f"model={asked.model}&framework=torch"
        opening(browser, "Overview", f"{address}overview?{query}", asked.runs, figures)
        opening(browser, "Explain", f"{address}explain?{query}&sample=test-0", asked.runs, figures)
        opening(browser, "Layers", f"{address}layers?{query}&sample=test-0", asked.runs, figures)
        stored_maps(browser, f"{address}explain?{query}&sample=test-0&view=expert", asked.clicks, figures)
        hovering(browser, f"{address}layers?{query}&sample=test-0&layer={LAYER}", figures)
        browser.close()
        many(address, server, asked.model, asked.sessions, figures)
    if asked.write:
        written(figures, load)


if __name__ == "__main__":
    main()
