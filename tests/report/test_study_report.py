"""The report of a study: it says what the units say, streams, stays small, and is put in its place whole."""

import fcntl
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import xaikit as xk
from tests.figures import synthetic as s
from tests.render.test_render import luminance
from tests.report.schema import fits
from tests.report.test_page import TAKES_A_REFERENCE, Read
from xaikit.errors import ParameterError, StorageError, UnknownName, UsageError
from xaikit.inputs import Classes, Image, Masks
from xaikit.report import write_study_report
from xaikit.report._album import LEVELS
from xaikit.results import Attribution
from xaikit.results._judging import judge
from xaikit.study import InputsPlan, MethodPlan, Plan

pytestmark = pytest.mark.slow

SCHEMA = json.loads((Path(xk.__file__).parent / "report" / "study.schema.json").read_text())
EVIL = "<script>alert(1)</script>\"'&"
Make = Callable[..., Path]


def key_of(*words: Any) -> str:
    return f"{abs(hash(words)):064x}"[-64:]


class Writer:
    """A study's folder, written as a run writes it: results, and a line for each unit."""

    def __init__(self, folder: Path, methods: tuple[MethodPlan, ...], inputs: int, **plan: Any) -> None:
        self.folder, self.methods = folder, methods
        folder.mkdir(parents=True, exist_ok=True)
        paths = tuple(f"in/{k:04}.png" for k in range(inputs))
        (folder.parent / "in").mkdir(exist_ok=True)
        for path in paths:
            (folder.parent / path).touch()
        own = {"model": "small-net", "framework": "torch", "root": str(folder.parent), **plan}
        self.plan = Plan(inputs=InputsPlan(paths), methods=methods, **own)
        self.plan.save(folder / "plan.toml")
        self.names = list(paths)

    def line(self, name: str, method: MethodPlan, target: Any = None, **more: Any) -> None:
        told = {"key": None, "input": name, "method": method.name, "target": target, "state": "done", "error": None}
        told |= {"parameters": dict(method.parameters)} if method.parameters else {}
        with (self.folder / "manifest.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({**told, "at": "2026-01-02T03:04:05.678+00:00", **more}) + "\n")

    def put(self, name: str, method: MethodPlan, result: Any, target: Any = None) -> Path:
        key = key_of(str(self.folder), name, method.name, str(method.parameters), str(target))
        path = self.folder / "units" / key[:2] / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        xk.save(result, path)
        self.line(name, method, target, key=key)
        return path


def result(method: str, k: int = 0, make: Any = None, **changes: Any) -> Attribution:
    """One explanation, different for every k, of the same input for all methods."""
    e = (make or s.image)()
    rng = np.random.default_rng([k, len(method)])
    values = rng.normal(size=e.values.shape)
    quality = {"completeness_gap_relative": np.array([0.001 * (k + 1)])} if method != "saliency" else {}
    origin = replace(e.origin, method=method, input_hash=(f"{k:064x}",))
    e = replace(e, values=values, quality=quality, status=judge(quality, values), origin=origin)
    return replace(e, **changes)


METHODS = (MethodPlan("integrated-gradients"), MethodPlan("saliency"), MethodPlan("grad-cam"))


@pytest.fixture
def study(tmp_path: Path) -> Make:
    """Make a study of some pictures by three methods, all of which ended well; with `change` as it is wished."""

    def make(inputs: int = 3, made: Any = None, skip: Any = lambda k, m: False, **plan: Any) -> Path:
        writer = Writer(tmp_path / "study", METHODS, inputs, **plan)
        for k, name in enumerate(writer.names):
            for method in METHODS:
                if not skip(k, method.name):
                    writer.put(name, method, result(method.name, k, made))
        return writer.folder

    return make


def read(folder: Path, place: str = "index.html") -> Read:
    return Read((folder / place).read_text(encoding="utf-8"))


def everything(folder: Path) -> Iterator[tuple[str, Read]]:
    for path in sorted(folder.rglob("*.html")):
        yield path.relative_to(folder).as_posix(), Read(path.read_text(encoding="utf-8"))


def data_of(folder: Path) -> Any:
    data = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    fits(data, SCHEMA)
    pytest.importorskip("jsonschema").Draft202012Validator(SCHEMA).validate(data)
    return data


# ---------------------------------------------------------------- what it says


def test_numbers_are_those_of_the_units(study: Make) -> None:
    folder = study()
    made = write_study_report(folder)
    assert made.page == folder / "report" / "index.html"
    assert (made.inputs, made.explanations, made.failed, made.state) == (3, 9, 0, "complete")
    data = data_of(made.folder)
    assert data["study"]["units"] == {"planned": 9, "done": 9, "failed": 0}
    assert [c["column"] for c in data["methods"]] == ["Integrated gradients", "Saliency", "Grad-CAM"]
    gap = data["methods"][0]["quality"]["completeness_gap_relative"]
    assert_allclose([gap["median"], gap["least"], gap["largest"]], [0.002, 0.001, 0.003])
    from xaikit.quality import agreements

    table = np.stack([agreements([result(m.name, k) for m in METHODS]) for k in range(3)])
    off = ~np.eye(3, dtype=bool)
    found = np.array(data["agreement"]["values"], float)
    assert_allclose(found[off], table.mean(0)[off], atol=1e-6)  # stored as float32
    for k, said in enumerate(data["inputs"]):
        assert_allclose(said["samples"][0]["agreement"], table[k][np.tril_indices(3, -1)].mean(), atol=1e-6)
        page = read(made.folder, said["page"])
        for one in said["samples"][0]["results"]:
            stored = xk.load(folder / one["unit"])
            assert stored.origin.method == one["method"]
            assert one["sentence"] in page.text
            assert one["target_label"] == stored.target_labels[0]
    least = min(range(3), key=lambda k: data["inputs"][k]["samples"][0]["agreement"])
    outliers = {each["kind"]: each["inputs"] for each in data["outliers"]}
    assert outliers["agreement"][0]["number"] == least + 1
    assert [o["number"] for o in outliers["completeness_gap_relative"]] == [3, 2, 1]
    front = read(made.folder)
    assert "Integrated gradients, Saliency and Grad-CAM" in front.text
    assert "0.3 %" in front.text


def test_pages_stand_without_network_and_every_link_leads_somewhere(study: Make) -> None:
    made = write_study_report(study(), formats=["html", "json"])
    for place, page in everything(made.folder):
        here = (made.folder / place).parent
        for tag, attrs in page.elements:
            assert tag not in {"script", "iframe", "object", "embed", "base"}
            assert not [a for a in attrs if a.startswith("on")]
            for name in TAKES_A_REFERENCE & attrs.keys():
                to, _, anchor = (attrs[name] or "").partition("#")
                if to.startswith("data:image/"):
                    continue
                assert ":" not in to, to
                target = (here / to) if to else made.folder / place
                assert target.is_file(), to
                if anchor:
                    ids = {a["id"] for _, a in Read(target.read_text()).elements if "id" in a}
                    assert anchor in ids, (place, anchor)
    style = (made.folder / "style.css").read_text()
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style


def test_headings_captions_and_pictures_have_words(study: Make) -> None:
    made = write_study_report(study())
    for place, page in everything(made.folder):
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
        assert (levels[0], levels.count(1)) == (1, 1), place
        assert all(after <= before + 1 for before, after in pairwise(levels)), place
        assert page.all("html")[0]["lang"] == "en"
        assert len(page.all("caption")) == len(page.all("table"))
        assert all(cell.get("scope") for cell in page.all("th"))
        assert any(a.get("class") == "skip" and a["href"] == "#main" for a in page.all("a"))
        ids = [a["id"] for _, a in page.elements if "id" in a]
        assert len(ids) == len(set(ids))
        assert {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a} <= set(ids)
    pictures = read(made.folder, "inputs/00001.html").all("img")
    assert len(pictures) == 1 + 3 + 1  # the input, its maps, the scale
    assert all(len(p["alt"] or "") > 15 for p in pictures)


def test_methods_that_come_twice_are_told_apart(tmp_path: Path) -> None:
    methods = (MethodPlan("lime", ["cat", "dog"]), MethodPlan("lime", "cat", {"samples": 50}), MethodPlan("saliency"))
    writer = Writer(tmp_path / "study", methods, 1)
    for method in methods:
        for target in method.targets:
            writer.put(writer.names[0], method, result(method.name), target)
    data = data_of(write_study_report(writer.folder).folder)
    assert [m["column"] for m in data["methods"]] == [
        "LIME of cat (defaults)",
        "LIME of dog",
        "LIME of cat (samples 50)",
        "Saliency",
    ]


@pytest.mark.parametrize("make", [s.image, s.segmented, s.row, s.series, s.text, s.features])
def test_every_kind_of_input_has_a_page_and_print(study: Make, make: Any) -> None:
    made = write_study_report(study(1, make), formats=["html", "pdf", "json"])
    data = data_of(made.folder)
    page = read(made.folder, "inputs/00001.html")
    assert data["inputs"][0]["samples"][0]["results"][0]["sentence"] in page.text
    assert (made.folder / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_the_best_class_of_every_pixel_is_a_picture(study: Make) -> None:
    def made() -> Attribution:
        e = s.image()
        height, width = e.values.shape[1:3]
        masks = np.zeros((1, height, width, 2))
        masks[..., 0], masks[:, : height // 4, :, 1] = 0.5, 0.9
        return replace(e, prediction=masks, output_spec=Masks(("sky", "sea")), target=(0,))

    page = read(write_study_report(study(1, made)).folder, "inputs/00001.html")
    assert "Answer: sky 75 %" in page.text
    assert "The pixels by class: dark: sky, orange: sea." in [p["alt"] for p in page.all("img")]


# ---------------------------------------------------------------- what is missing


def test_units_that_failed_or_are_damaged_are_told_and_stop_nothing(study: Make) -> None:
    folder = study(3, skip=lambda k, m: (k, m) in [(0, "saliency"), (1, "saliency")])
    with (folder / "manifest.jsonl").open("a") as file:
        for k in (0, 1):
            said = {"key": None, "input": f"in/{k:04}.png", "method": "saliency", "target": None, "state": "failed"}
            file.write(json.dumps({**said, "error": f"no luck {EVIL}"}) + "\n")
        file.write('{"torn')
    damaged = sorted(folder.glob("units/*/*.npz"))[0]
    damaged.write_bytes(b"half of it")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    made = write_study_report(folder, formats=["html", "pdf", "json"])
    assert {p: p.read_bytes() for p in before} == before  # reading changes nothing
    data = data_of(made.folder)
    errors = [f["error"] for each in data["inputs"] for f in each["failed"]]
    assert made.failed == 3
    assert sorted(e.startswith("no luck") for e in errors) == [False, True, True]
    assert any("damaged" in e and damaged.stem in e for e in errors)
    front = read(made.folder)
    assert "no luck" in front.text
    assert "3 units could not be made" in front.text
    assert "<script" not in (made.folder / "index.html").read_text()
    assert "has no result" in read(made.folder, "inputs/00001.html").text


def test_a_study_without_a_single_result(study: Make) -> None:
    folder = study(2, skip=lambda k, m: True)
    made = write_study_report(folder, formats=["html", "pdf", "json"])
    assert (made.inputs, made.state) == (0, "unfinished")
    assert "No unit has ended yet" in read(made.folder).text
    assert data_of(made.folder)["inputs"] == []
    (folder / "manifest.jsonl").write_text(
        "".join(
            json.dumps({"key": None, "input": "a", "method": m.name, "target": None, "state": "failed", "error": "no"})
            + "\n"
            for m in METHODS
        )
    )
    made = write_study_report(folder, formats=["html", "pdf", "json"])
    assert (made.inputs, made.explanations, made.failed) == (1, 0, 3)
    assert "There is no result" in read(made.folder, "inputs/00001.html").text
    assert data_of(made.folder)["model"] is None


def test_a_study_that_runs_is_in_progress_and_one_that_was_stopped_is_unfinished(study: Make) -> None:
    folder = study(4, skip=lambda k, m: k > 1 or (k, m) == (1, "grad-cam"))
    made = write_study_report(folder)
    assert made.state == "unfinished"
    assert "Unfinished: 5 of 12 units ended" in read(made.folder).text
    assert "the study was stopped before it" in read(made.folder, "inputs/00002.html").text
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = write_study_report(folder)
    assert made.state == "in progress"
    assert "In progress: 5 of 12 units had ended at 2026-01-02 03:04:05 UTC" in read(made.folder).text
    assert made.failed == 0  # what is not yet made has not failed
    assert data_of(made.folder)["study"]["state"] == "in progress"


def test_nan_and_infinities_are_shown_and_are_null(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "study", METHODS[:2], 1)
    for method in METHODS[:2]:
        e = result(method.name)
        values = e.values.copy()
        values[0, :2, :2] = np.nan
        values[0, 3, 3] = np.inf
        quality = {"completeness_gap_relative": np.array([np.inf])}
        writer.put(writer.names[0], method, replace(e, values=values, quality=quality, status=judge(quality, values)))
    made = write_study_report(writer.folder, formats=["html", "pdf", "json"])
    data = data_of(made.folder)
    assert data["inputs"][0]["samples"][0]["results"][0]["status"] == "fail"
    assert data["inputs"][0]["samples"][0]["results"][0]["quality"] == {"completeness_gap_relative": None}
    assert data["agreement"]["values"] == [[None, None], [None, None]]


def test_names_from_outside_are_text(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "study", (MethodPlan("saliency"),), 1)
    e = result("saliency", target_labels=(EVIL,))
    spec = Classes((EVIL, *(f"class {k}" for k in range(1, len(e.output_spec.names)))))
    name = f"{EVIL}/../../etc/\x07passwd \N{HEBREW LETTER ALEF}\N{CYRILLIC SMALL LETTER ZHE}.png"
    writer.put(name, METHODS[1], replace(e, output_spec=spec))
    made = write_study_report(writer.folder, formats=["html", "pdf", "json"], command=EVIL)
    assert sorted(p.name for p in made.folder.rglob("*.html")) == ["00001.html", "index.html"]
    for _, page in everything(made.folder):
        assert not page.all("script")
        assert "alert(1)" in page.text
    assert data_of(made.folder)["inputs"][0]["name"] == name


# ---------------------------------------------------------------- size


def test_pages_keep_to_their_size_by_coarser_pictures_then_none(study: Make) -> None:
    def noisy() -> Attribution:
        rng = np.random.default_rng(0)
        noise = rng.integers(0, 256, (1, 96, 96, 3), dtype=np.uint8)
        given = {"display": noise, "x": noise / 255, "input_spec": Image(96, 96)}
        return s.attribution(rng.normal(size=(1, 96, 96)), ("height", "width"), "saliency", **given)

    folder = study(4, noisy)
    sizes = {}
    for most in (2.0, 0.5, 0.08, 0.02):
        made = write_study_report(folder, max_mb=most)
        pages = sum(p.stat().st_size for p in (made.folder / "inputs").glob("*.html"))
        sizes[most] = pages, made.notes
        assert pages <= most * 1e6
        assert all(note in read(made.folder).text for note in made.notes)
    assert sizes[2.0][1] == ()
    assert "coarser" in sizes[0.5][1][0]
    assert "left out" in sizes[0.08][1][0]
    assert "Pages of" in sizes[0.02][1][0]
    assert len(LEVELS) > 1


def test_many_inputs_have_lists_and_memory_for_a_few(study: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from xaikit.report import _study_pages, _study_report

    monkeypatch.setattr(_study_pages, "PER_LIST", 3)
    monkeypatch.setattr(_study_report, "PER_LIST", 3)
    held: list[int] = []
    making = _study_report._Making.paged

    def paged(self: Any, view: Any) -> Any:
        held.append(len(self.rows))
        return making(self, view)

    monkeypatch.setattr(_study_report._Making, "paged", paged)
    told: list[tuple[float, int]] = []
    made = write_study_report(study(8), progress=lambda done, total, said: told.append((done, total)))
    assert max(held) < 3
    assert sorted(p.name for p in (made.folder / "lists").iterdir()) == ["0001.html", "0002.html", "0003.html"]
    front = read(made.folder)
    assert [a["href"] for a in front.all("a") if (a["href"] or "").startswith("lists/")] == [
        "lists/0001.html",
        "lists/0002.html",
        "lists/0003.html",
    ]
    last = read(made.folder, "lists/0003.html")
    assert [a["href"] for a in last.all("a") if "inputs/" in (a["href"] or "")] == [
        "../inputs/00007.html",
        "../inputs/00008.html",
    ]
    page = read(made.folder, "inputs/00004.html")
    assert {"../lists/0002.html#input-4", "00003.html", "00005.html"} <= {a["href"] for a in page.all("a")}
    assert told == [*((float(k), 8) for k in range(8)), (8, 8)]


def test_the_print_says_which_inputs_it_leaves_out(study: Make) -> None:
    made = write_study_report(study(3), formats=["pdf"], pdf_inputs=1)
    assert sorted(p.name for p in made.folder.iterdir()) == ["files.sha256", "report.pdf"]
    words = text_of(made.page)
    assert "the first 1 of 3 inputs" in " ".join(words.split())
    assert "in/0000.png" in words


def text_of(pdf: Path) -> str:
    import shutil

    if shutil.which("pdftotext") is None:
        pytest.skip("there is no pdftotext")
    return subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, check=True, text=True).stdout


def test_the_print_has_bookmarks_words_for_pictures_and_other_alphabets(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "study", METHODS[:1], 1)
    writer.put("żółć-Жар-αβγ.png", METHODS[0], result("integrated-gradients"))
    made = write_study_report(writer.folder, formats=["pdf"])
    words = text_of(made.page)
    assert "żółć-Жар-αβγ.png" in words
    data = made.page.read_bytes()
    assert b"/Outlines" in data
    assert data.count(b"/Alt ") >= 3  # the input, its map, the scale
    assert b"/Lang" in data


# ---------------------------------------------------------------- the folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_report_replaces_an_earlier_one_and_nothing_else(study: Make, tmp_path: Path) -> None:
    folder, out = study(3), tmp_path / "out"
    write_study_report(folder, out, formats=["html", "pdf", "json"])
    subprocess.run(["sha256sum", "--check", "--quiet", "files.sha256"], cwd=out, check=True)
    write_study_report(folder, out, formats=["html"])
    assert not (out / "report.json").exists()
    for name in ("mine.txt", "index.html"):
        write_study_report(folder, out, formats=["html"])
        (out / name).write_text("mine")
        before = files_of(out)
        with pytest.raises(UsageError, match=r"not written by xaikit report|was changed"):
            write_study_report(folder, out)
        assert files_of(out) == before
        (out / "mine.txt").unlink(missing_ok=True)
        (out / "index.html").write_bytes(b"")
        for path in sorted(out.rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
    with pytest.raises(UsageError, match="not written by xaikit report"):
        write_study_report(folder, folder)
    with pytest.raises(UsageError, match="is a file"):
        write_study_report(folder, folder / "plan.toml")


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(28, "No space left on device"), MemoryError])
def test_an_interrupted_report_leaves_the_old_one(study: Make, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    folder = study(3)
    made = write_study_report(folder)
    before = files_of(folder)

    def stop(done: float, total: int, said: str) -> None:
        if done == 2:
            raise error

    with pytest.raises(StorageError if isinstance(error, OSError) else error):
        write_study_report(folder, progress=stop)
    assert files_of(folder) == before
    assert not list(folder.glob(".report.*"))
    assert made.page.exists()


SCRIPT = """
import sys, time
from xaikit.report import write_study_report
write_study_report(sys.argv[1], progress=lambda done, total, said: (print(done, flush=True), time.sleep(0.2)))
"""


def test_a_killed_report_leaves_the_old_one_and_the_next_clears_up(study: Make) -> None:
    folder = study(4)
    write_study_report(folder)
    before = files_of(folder)
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if float(line) >= 2:
                break
        process.kill()
        process.wait()
    left = list(folder.glob(".report.*.part"))
    assert len(left) == 1
    assert {k: v for k, v in files_of(folder).items() if not k.startswith(".report.")} == before
    os.utime(left[0], (time.time() - 7200,) * 2)
    write_study_report(folder)
    assert not list(folder.glob(".report.*"))


def test_what_cannot_be_asked(study: Make, tmp_path: Path) -> None:
    folder = study(1)
    with pytest.raises(StorageError, match="is no folder of a study"):
        write_study_report(tmp_path)
    with pytest.raises(UnknownName, match="did you mean 'html'"):
        write_study_report(folder, formats=["htm"])
    with pytest.raises(ParameterError, match="at least one format"):
        write_study_report(folder, formats=[])
    with pytest.raises(ParameterError, match="positive number"):
        write_study_report(folder, max_mb=0)
    assert not (folder / "report").exists()


# ---------------------------------------------------------------- in a browser


def test_inks_are_readable_in_light_and_dark(study: Make) -> None:
    style = (write_study_report(study(1)).folder / "style.css").read_text()
    blocks = [dict(re.findall(r"--(\w+): (#\w{6})", b)) for b in re.findall(r":root \{(.*?)\}", style, re.DOTALL)]
    for colours in [b for b in blocks if "paper" in b][:2]:
        for ink in ("ink", "muted", "ok", "warn", "fail", "accent"):
            low, high = sorted((luminance(colours[ink]), luminance(colours["card"])))
            assert (high + 0.05) / (low + 0.05) >= 4.5, ink


def test_it_reads_without_scripts_on_a_telephone_and_says_nothing_on_the_console(chromium: Any, study: Make) -> None:
    made = write_study_report(study(3), formats=["html", "pdf", "json"])
    for scheme in ("light", "dark"):
        context = chromium.new_context(
            color_scheme=scheme, viewport={"width": 320, "height": 800}, java_script_enabled=False
        )
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda m, said=said: said.append(m.text))
        page.on("pageerror", lambda e, said=said: said.append(str(e)))
        page.on("request", lambda r, said=said: said.append(r.url) if not r.url.startswith(("file", "data")) else None)
        page.goto(made.page.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert page.evaluate("getComputedStyle(document.querySelector('main')).maxWidth") == "1240px"  # styled
        page.click("tr a >> text=in/0001.png")
        page.wait_for_url("**/inputs/00002.html")
        assert page.evaluate("document.documentElement.scrollWidth") <= 320
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        page.click("text=Next")
        page.wait_for_url("**/inputs/00003.html")
        page.click("text=All inputs")
        page.wait_for_url("**/index.html#input-3")
        assert said == []
        context.close()
