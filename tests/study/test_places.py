"""Studies at URLs: nothing is appended or renamed there, and a lease stands for the lock."""

import json
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from xaikit.errors import NotSupported, StorageError, UsageError
from xaikit.jobs import Store, store_at
from xaikit.jobs.remote import Remote, RemoteStore, is_remote, placed
from xaikit.study import MethodPlan, diff, merge, open_study, run
from xaikit.study import _places as places
from xaikit.study._known import Listed, known_at
from xaikit.study._places import AtUrl, Parts, leased, place_of

from .conftest import draw

pytestmark = pytest.mark.slow

pytest.importorskip("fsspec")


@pytest.fixture
def url(tmp_path, monkeypatch) -> Iterator[str]:
    """Give a URL of this process's memory that nobody else uses; waits are short."""
    monkeypatch.setattr(places, "BEAT", 0.1)
    monkeypatch.setattr(places, "SETTLES", 0.01)
    yield f"memory://{tmp_path.name}/out"
    files = Remote("memory://a").files
    for name in [n for n in files.store if n.startswith(f"/{tmp_path.name}/")]:
        del files.store[name]


def test_urls_and_paths_are_told_apart(tmp_path) -> None:
    assert [is_remote(p) for p in ("s3://a/b", "memory://x", "filecache::s3://a", "a/b", "C:/x", tmp_path)] == [
        *[True] * 3,
        *[False] * 3,
    ]
    assert not is_remote(f"file://{tmp_path}")
    assert placed(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    assert type(store_at(f"file://{tmp_path}")) is Store
    for wrong in ("nonsense://x", "memory://"):
        with pytest.raises(UsageError, match=f"{wrong.rstrip('/')}.* is no place"):
            place_of(wrong)


def test_a_study_at_a_url_is_the_study_on_disk(plan, tmp_path, url, digits) -> None:
    asked = (MethodPlan("saliency", [3, 5]), MethodPlan("lime", None, {"samples": 50}))
    (digits / "800.png").write_bytes(b"no picture")
    there, here = run(plan(*asked), url), run(plan(*asked), tmp_path / "here")
    assert there.counts == here.counts
    left = ("at", "seconds", "worker")
    for a, b in zip(there.study.rows(), here.study.rows(), strict=True):
        assert {n: v for n, v in a.items() if n not in left} == {n: v for n, v in b.items() if n not in left}
        if a["key"] and a["state"] == "done":
            np.testing.assert_array_equal(there.study.result(a).values, here.study.result(b).values)
    found = diff(url, tmp_path / "here")
    assert (len(found.units), found.failed, found.methods()[0].largest_difference) == (18, 3, 0)
    assert open_study(url).folder == url == str(there.study.folder)


def test_what_is_there_is_skipped_and_not_read_again(plan, url, digits, monkeypatch) -> None:
    """A result that the manifest tells of costs no request; one that it does not tell of is looked at."""
    run(plan("saliency"), url)
    store = store_at(url)
    keys = sorted(store.keys())
    store.drop(keys[0])
    place = place_of(url)
    (part,) = place.parts()
    lines = [json.loads(line) for line in place.read(f"manifest/{part}").splitlines()]
    place.write(f"manifest/{part}", "".join(json.dumps(e) + "\n" for e in lines if e["key"] != keys[1]))
    glanced = []
    original = RemoteStore.glance
    monkeypatch.setattr(RemoteStore, "glance", lambda *a: glanced.append(a[1]) or original(*a))
    again = run(plan("saliency"), url, resume=True)
    assert (again.counts.done, again.counts.skipped) == (1, 5)
    assert glanced == [keys[1]]
    assert [p[:7] for p in place.parts()] == ["000001-", "000002-"]
    assert len({row["input"] for row in again.study.rows()}) == 6


def test_equal_inputs_share_a_result_at_a_url(plan, url, digits) -> None:
    (digits / "copy.png").write_bytes((digits / "000.png").read_bytes())
    done = run(plan("saliency"), url)
    assert (done.counts.done, done.counts.skipped) == (6, 1)


def test_a_damaged_result_at_a_url_is_made_again(plan, url) -> None:
    study = run(plan("saliency"), url).study
    row = next(study.rows())
    study.store.remote.write(f"units/{row['key'][:2]}/{row['key']}.npz", b"PK")
    assert study.result(row) is None
    again = run(plan("saliency"), url, resume=True)
    assert (again.counts.done, again.counts.skipped) == (1, 5)
    assert study.result(row) is not None


def test_a_manifest_has_parts_that_are_written_soon(url, monkeypatch) -> None:
    monkeypatch.setattr(places, "FULL", 3)
    monkeypatch.setattr(places, "LINGER", 1000.0)
    place = AtUrl(url)
    with place.manifest() as manifest:
        assert isinstance(manifest, Parts)
        for i in range(7):
            manifest.append({"i": i})
            assert len(list(place.events())) == (1, 1, 3, 3, 3, 6, 6)[i]
    with place.manifest() as manifest:
        manifest.append({"i": 7})
    assert [e["i"] for e in place.events()] == list(range(8))
    assert [p[:6] for p in place.parts()] == ["000001"] * 3 + ["000002"]


def test_a_run_at_work_is_seen_by_its_signs_of_life(plan, url) -> None:
    remote = Remote(url)
    with leased(remote):
        assert place_of(url).at_work()
        with pytest.raises(UsageError, match=r"another run is at work in memory://.*process .* on .*or stop it"):
            run(plan("saliency"), url)
    assert not place_of(url).at_work()
    assert run(plan("saliency"), url).counts.done == 6


def test_a_run_that_died_is_followed_after_a_while(plan, url) -> None:
    Remote(url).write("lease.json", b'{"id": "dead", "owner": "process 1 on a machine", "beat": 7}')
    begun = time.monotonic()
    assert run(plan("saliency"), url).counts.done == 6
    assert time.monotonic() - begun >= places.BEAT * places.MISSED


def test_a_run_that_is_taken_over_says_so_and_leaves_the_lease(url) -> None:
    remote = Remote(url)

    def work() -> None:
        with leased(remote):
            remote.write("lease.json", b'{"id": "other", "owner": "process 2 on b"}')
            time.sleep(4 * places.BEAT)

    with pytest.raises(UsageError, match=r"another run \(process 2 on b\) has taken memory://"):
        work()
    assert json.loads(remote.read("lease.json"))["id"] == "other"


def test_of_two_runs_that_begin_at_once_one_goes_on(url) -> None:
    remote, gate, ends = Remote(url), threading.Barrier(2), []

    def begin() -> None:
        gate.wait()
        try:
            with leased(remote):
                time.sleep(1.0)
                ends.append("done")
        except UsageError:
            ends.append("refused")

    both = [threading.Thread(target=begin) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(ends) == ["done", "refused"]


def test_where_files_are_written_bit_by_bit_they_get_their_names_when_they_are_whole(tmp_path) -> None:
    remote = Remote(f"file://{tmp_path}/far")
    assert not remote.whole
    seen = []
    original = remote.files.mv
    remote.files.mv = lambda a, b, **k: (seen.append((a, b)), original(a, b, **k))
    try:
        remote.write("units/ab/x", b"1")
        remote.write("units/ab/x", b"2")
    finally:
        del remote.files.mv
    assert remote.read("units/ab/x") == b"2"
    assert remote.names("units/ab") == ["x"]
    assert [(a.endswith(".part"), b.endswith("/x")) for a, b in seen] == [(True, True)] * 2
    assert (remote.make("lease", b"1"), remote.make("lease", b"2"), remote.read("lease")) == (True, False, b"1")


def test_what_a_url_has_no_word_for_is_told(url, plan, monkeypatch) -> None:
    store = store_at(url)
    with pytest.raises(NotSupported, match="no files of this machine"):
        store.path("0" * 64)
    with pytest.raises(UsageError, match="memory of one process: it takes one worker"):
        run(plan("saliency"), url, workers=2)
    study = run(plan("saliency"), url, resume=True).study
    row = next(study.rows())

    def refuse(*_):
        raise PermissionError("no access")

    monkeypatch.setattr(study.store.remote.files, "cat_file", refuse)
    with pytest.raises(StorageError, match="cannot be used: PermissionError: no access"):
        study.result(row)
    monkeypatch.undo()
    assert study.result(row) is not None, "a server that is away damages nothing"


def test_a_disk_that_is_full_ends_a_study_at_a_url(url, plan, monkeypatch) -> None:
    """Every other unit would fail of it too: it is no fault of the unit."""
    original, calls = Remote.write, []

    def write(self, name, data):
        calls.append(name)
        if name.endswith(".npz") and len([n for n in calls if n.endswith(".npz")]) > 3:
            raise places.Unreachable("full")
        original(self, name, data)

    monkeypatch.setattr(Remote, "write", write)
    with pytest.raises(StorageError, match="full"):
        run(plan("saliency"), url)
    assert len(list(store_at(url).keys())) == 3, "the arrays are written first"
    monkeypatch.setattr(Remote, "write", original)
    again = run(plan("saliency"), url, resume=True)
    assert (again.counts.done, again.counts.skipped) == (3, 3)


def test_folders_and_urls_merge_into_either(plan, url, tmp_path, digits) -> None:
    run(plan("saliency", inputs="digits/00[0-2].png"), url)
    run(plan("saliency", inputs="digits/00[3-5].png"), tmp_path / "b")
    for into in (f"{url}-whole", tmp_path / "whole"):
        merged = merge([url, tmp_path / "b"], into)
        assert (merged.units, merged.failed) == (6, 0)
        assert all(merged.study.result(row) is not None for row in merged.study.rows())
    with pytest.raises(UsageError, match="one of the folders"):
        merge([url, tmp_path / "b"], url)


def test_results_are_listed_where_asking_costs(plan, url, tmp_path, digits) -> None:
    draw(digits, 2)
    run(plan("saliency", inputs="digits/00[01].png"), url)
    known = known_at(place_of(url), store_at(url))
    assert isinstance(known, Listed)
    keys = list(store_at(url).keys())
    assert {known.row(k)["predicted"] for k in keys} == {r["predicted"] for r in open_study(url).rows()}
    assert known.row("0" * 64) is None
    known.close()
