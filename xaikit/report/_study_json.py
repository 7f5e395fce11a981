"""A study's report as JSON, schema 2: what the pages say, for programs; written input by input."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xaikit.report._collect import PREDICT
from xaikit.report._sheet import KIND, finite, model_to_dict, sample_to_dict
from xaikit.report._study import Case, Reading, mean_agreement
from xaikit.report._tally import Tally

SCHEMA = 2


class Inputs:
    """The inputs of a report in a file of their own, one on a line, until what stands before them is known."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("w", encoding="utf-8")

    def add(self, case: Case, reading: Reading, page: str | None) -> None:
        """Take an input; `page` is where its page is."""
        self._file.write(_line(_case(case, reading, page)) + "\n")

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def written(self, target: Path, head: Mapping[str, Any]) -> None:
        """Write the whole report: the head, and the inputs."""
        self.close()
        with target.open("w", encoding="utf-8") as file, self.path.open(encoding="utf-8") as lines:
            file.write(json.dumps(head, indent=1, ensure_ascii=False, allow_nan=False).removesuffix("\n}"))
            file.write(',\n "inputs": [\n')
            file.writelines(_joined(lines))
            file.write("]\n}\n")


def _joined(lines: Iterator[str]) -> Iterator[str]:
    before = next(lines, None)
    for line in lines:
        yield f"{before.rstrip()},\n" if before else ""
        before = line
    yield before or ""


def _line(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _case(case: Case, reading: Reading, page: str | None) -> dict[str, Any]:
    columns = {c.name: c for c in reading.columns.values()}
    keys = {name: f"units/{row['key'][:2]}/{row['key']}.json" for name, row in case.rows.items() if row["key"]}
    places = {(case.name, name): keys.get(name, "") for name in columns} | {(case.name, PREDICT): ""}
    samples = []
    for sample in case.samples:
        told = sample_to_dict(sample, places)
        for result in told["results"]:
            result["column"], result["method"] = result["method"], columns[result["method"]].method
        kept = {k: v for k, v in told.items() if k not in ("title", "input", "given", "prediction", "missing")}
        samples.append({**kept, "agreement": finite(mean_agreement(sample))})
    failed = [{"column": name, "method": columns[name].method, "error": error} for name, error in case.errors.items()]
    return {
        "number": case.number,
        "name": case.name,
        "page": page,
        "samples": samples,
        "of": case.of,
        "failed": failed,
    }


def head(
    reading: Reading, tally: Tally, *, created: str, command: str, notes: list[str], pages: str | None
) -> dict[str, Any]:
    """Give everything but the inputs."""
    plan, first = reading.study.plan, reading.first
    planned = reading.planned
    return {
        "kind": KIND,
        "schema": SCHEMA,
        "created": created,
        "command": command,
        "notes": notes,
        "page": pages,
        "versions": dict(first.origin.versions) if first else {},
        "study": {
            "plan": {k: v for k, v in plan.to_dict().items() if k != "root"},
            "state": reading.state,
            "updated": reading.updated or None,
            "units": {"planned": planned, "done": reading.states["done"], "failed": reading.states["failed"]},
            "inputs": reading.many,
            "samples": tally.samples,
        },
        "model": model_to_dict(plan.model, first) if first else None,
        "methods": [
            _method(name, column, tally) for name, column in zip(tally.names, reading.columns.values(), strict=True)
        ],
        "answers": dict(tally.labels.most_common()),
        "agreement": {
            "measure": "Spearman's rank correlation, mean over samples",
            "columns": list(tally.names),
            "values": finite(tally.agreement.tolist()),
            "compared": tally.compared.tolist(),
        },
        "outliers": [
            {
                "kind": kind,
                "title": each.title,
                "inputs": [
                    {"number": o.number, "name": o.name, "value": o.value, "said": o.said, "column": o.by or None}
                    for o in each.found()
                ],
            }
            for kind, each in tally.outliers()
        ],
    }


def _method(name: str, column: Any, tally: Tally) -> dict[str, Any]:
    own = tally.methods[name]
    return {
        "column": name,
        "method": column.method,
        "target": column.target,
        "parameters": finite(dict(column.parameters)),
        "units": {**{k: own.levels[k] for k in ("ok", "warn", "fail", "none")}, "failed": tally.failed[name]},
        "quality": {
            key: {"count": s.count, "median": finite(s.median), "least": s.low, "largest": s.high}
            for key, s in own.quality.items()
            if s.count
        },
        "seconds": own.seconds,
        "model_calls": own.calls,
    }
