"""A report's folder: written whole, replacing an earlier report and nothing else."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from xaikit import storage
from xaikit.errors import StorageError
from xaikit.report._claimed import check_own, check_writable, digest_of, nearest_folder
from xaikit.report._sheet import KIND

Digests = dict[str, str]


def free(folder: str | os.PathLike[str], *names: str) -> None:
    """Check before the work that a report can go into a folder.

    Raises UsageError where `names` are there and are not an earlier report's, or were changed since; StorageError
    where nothing can be written.
    """
    target = Path(folder).absolute()
    check_writable(target, nearest_folder(target))
    _unclaimed(target, names)


def written(
    target: Path, results: Mapping[str, Any], files: Mapping[str, bytes], data: str, described: Mapping[str, Any]
) -> None:
    """Write results and files under their paths, and last `data`: what is described, with the digest of every file.

    All is made in a folder aside first. What an earlier report left and this one has not is removed.
    """
    aside = None
    try:
        target.mkdir(parents=True, exist_ok=True)
        aside = Path(mkdtemp(prefix=".report-", dir=target))
        for place, result in results.items():
            storage.save(result, aside / place)
        for place, content in files.items():
            (aside / place).parent.mkdir(exist_ok=True)
            (aside / place).write_bytes(content)
        digests = {p.relative_to(aside).as_posix(): digest_of(p) for p in sorted(aside.rglob("*")) if p.is_file()}
        text = json.dumps({**described, "files": digests}, indent=1, ensure_ascii=False, allow_nan=False)
        (aside / data).write_text(text, encoding="utf-8")
        before = _unclaimed(target, (*digests, data))
        for place in (*digests, data):
            (target / place).parent.mkdir(exist_ok=True)
            os.replace(aside / place, target / place)
        _cleared(target, {p: d for p, d in before.items() if p not in digests})
    except OSError as error:
        raise StorageError(f"the report cannot be written to {target}: {error.strerror or error}") from None
    finally:
        if aside is not None:
            shutil.rmtree(aside, ignore_errors=True)


def _unclaimed(target: Path, names: tuple[str, ...]) -> Digests:
    """Give the digests of an earlier report's files. Raises UsageError for a file that is not as it left it."""
    before = _before(target)
    for name in names:
        path = target / name
        if not path.exists() or (name == "report.json" and before):
            continue
        check_own(path, before.get(name))
    return before


def _before(target: Path) -> Digests:
    try:
        found = json.loads((target / "report.json").read_text(encoding="utf-8"))
        files = found["files"] if found["kind"] == KIND else {}
        return {str(p): str(d) for p, d in files.items() if _inside(str(p))}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _inside(place: str) -> bool:
    """Whether a path that a file names stays in the folder; only such paths are ever removed."""
    parts = Path(place).parts
    return place == "index.html" or (len(parts) == 2 and parts[0] in ("units", "images") and ".." not in parts)


def _cleared(target: Path, stale: Digests) -> None:
    """Remove what an earlier report left, unless it was changed since."""
    for place, digest in stale.items():
        path = target / place
        if digest_of(path) == digest:
            path.unlink()
    for folder in ("units", "images"):
        if (target / folder).is_dir() and not any((target / folder).iterdir()):
            (target / folder).rmdir()
