"""A visitor of the app without a browser: it opens pages and presses Explain as the browser's scripts do.

A session has its cookie and token; callbacks are sent with what stands on the page, as the app itself described it.
"""

import io
import json
import re
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, ProxyHandler, Request, build_opener

PAUSE = 0.25
"""Seconds between two looks at work that runs, as on the page."""
PATIENCE = 300.0
RESULT = re.compile(r"/take/[0-9a-f]{64}/result\.zip\?[\w=&]+")
TOKEN = re.compile(r'name="xaikit-token" content="([^"]+)"')


class Visitor:
    """One session: `explained(address)` opens a page of Explain, presses the button, and gives the result."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.opener = build_opener(ProxyHandler({}), HTTPCookieProcessor(CookieJar()))
        page = self.ask("/").decode()
        found = TOKEN.search(page)
        assert found is not None, page[:300]
        self.token = found[1]
        self.callbacks = {one["output"]: one for one in json.loads(self.ask("/_dash-dependencies"))}
        self.held: dict[str, dict[str, Any]] = {}
        self.hold(json.loads(self.ask("/_dash-layout")))
        self.around = set(self.held)

    def ask(self, path: str, sent: Any = None) -> bytes:
        """Get an address, or post JSON to it. Raises OSError with what the server said."""
        headers = {} if sent is None else {"Content-Type": "application/json", "X-Xaikit-Token": self.token}
        data = None if sent is None else json.dumps(sent).encode()
        try:
            with self.opener.open(Request(self.url + path, data, headers), timeout=PATIENCE) as answer:
                return bytes(answer.read())
        except HTTPError as error:
            raise OSError(f"{path}: {error.code} {error.read()[:500].decode(errors='replace')}") from None

    def open(self, address: str) -> None:
        """Go to an address of the app and wait until its page is there."""
        parts = urlsplit(address)
        self.held = {id: values for id, values in self.held.items() if id in self.around}
        self.held["url"] = {**self.held.get("url", {}), "pathname": parts.path, "search": f"?{parts.query}"}
        until = time.monotonic() + PATIENCE
        while True:
            self.fire("main.children", "url.search")
            if self.held["view-poll"]["disabled"]:
                return
            assert time.monotonic() < until, "the page did not come"
            time.sleep(PAUSE)

    def explained(self, address: str) -> tuple[Any, float, bool]:
        """Give the result that the page of an address shows, the seconds until then, and whether it was stored."""
        self.open(address)
        self.held["explain-run"]["n_clicks"] = 1
        begun = time.monotonic()
        self.fire("explain-shown.children", "explain-run.n_clicks")
        stored = bool(self.held["explain-poll"]["disabled"])
        result = self.followed()
        return result, time.monotonic() - begun, stored

    def followed(self) -> Any:
        """Look at the work of the page until it has ended, and give its result as it can be taken along."""
        import xaikit as xk

        until = time.monotonic() + PATIENCE
        while not self.held["explain-poll"]["disabled"]:
            assert time.monotonic() < until, "the explanation did not come"
            time.sleep(PAUSE)
            self.held["explain-poll"]["n_intervals"] = (self.held["explain-poll"].get("n_intervals") or 0) + 1
            self.fire("explain-shown.children", "explain-poll.n_intervals")
        shown = json.dumps(self.held["explain-shown"].get("children"))
        link = RESULT.search(shown)
        if link is None:
            said = json.dumps([self.held["explain-running"].get("children"), shown])
            raise OSError(f"the page shows no result: {said[:800]}")
        with TemporaryDirectory() as folder, zipfile.ZipFile(io.BytesIO(self.ask(link[0]))) as archive:
            archive.extractall(folder)
            return xk.load(Path(folder) / "result.json")

    # --- as the scripts of a page do ------------------------------------------------------------------------------

    def fire(self, output: str, changed: str) -> None:
        """Send the callback that has this output, because of what changed, and take what it answers."""
        name = next(n for n in self.callbacks if output in n.strip(".").split("..."))
        one = self.callbacks[name]
        outputs = [_place(text) for text in name[2:-2].split("...")] if name.startswith("..") else [_place(name)]
        sent = {
            "output": name,
            "outputs": [self._outputs(o) for o in outputs] if name.startswith("..") else self._outputs(outputs[0]),
            "inputs": [self._given(i) for i in one["inputs"]],
            "state": [self._given(s) for s in one["state"]],
            "changedPropIds": [changed],
        }
        text = self.ask("/_dash-update-component", sent)
        for id, values in (json.loads(text)["response"] if text else {}).items():
            for property, value in values.items():
                self.held.setdefault(id, {})[property] = value
                self.hold(value)

    def hold(self, value: Any) -> None:
        """Note every component in an answer with what it was given."""
        for component in _components(value):
            id = component["props"].get("id")
            if id is not None:
                self.held[_name(id)] = dict(component["props"])

    def _outputs(self, place: dict[str, Any]) -> Any:
        return self._matching(place) if isinstance(place["id"], dict) else place

    def _given(self, place: Mapping[str, Any]) -> Any:
        id = json.loads(place["id"]) if place["id"].startswith("{") else place["id"]
        one = {"id": id, "property": place["property"]}
        if isinstance(id, dict):
            return self._matching(one)
        return {**one, "value": self.held.get(id, {}).get(place["property"])}

    def _matching(self, place: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Give all components whose id matches, in the order of the page."""
        fixed = {k: v for k, v in place["id"].items() if v != ["ALL"]}
        found = [json.loads(name) for name in self.held if name.startswith("{")]
        each = [id for id in found if id.keys() == place["id"].keys() and fixed.items() <= id.items()]
        property = place["property"]
        return [{"id": id, "property": property, "value": self.held[_name(id)].get(property)} for id in each]


def _place(text: str) -> dict[str, Any]:
    id, _, property = text.rpartition(".")
    return {"id": json.loads(id) if id.startswith("{") else id, "property": property}


def _name(id: Any) -> str:
    return id if isinstance(id, str) else json.dumps(id, sort_keys=True, separators=(",", ":"))


def _components(value: Any) -> Iterator[dict[str, Any]]:
    """Give every component in JSON, also in other properties than children."""
    if isinstance(value, list):
        for one in value:
            yield from _components(one)
    elif isinstance(value, dict):
        if "props" in value and "type" in value and "namespace" in value:
            yield value
        for one in value.values():
            yield from _components(one)


@dataclass(frozen=True, eq=False)
class Seen:
    """What a visitor got at an address: the result, the seconds until it was there, and whether it was stored."""

    address: str
    result: Any
    seconds: float
    stored: bool


def crowd(url: str, wishes: Sequence[Sequence[str]]) -> list[list[Seen]]:
    """Have one session for each list of addresses explain them one after the other, all sessions at once."""
    visitors = [Visitor(url) for _ in wishes]

    def visit(visitor: Visitor, addresses: Sequence[str]) -> list[Seen]:
        return [Seen(address, *visitor.explained(address)) for address in addresses]

    with ThreadPoolExecutor(len(visitors)) as threads:
        return list(threads.map(visit, visitors, wishes))
