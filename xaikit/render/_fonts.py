"""The fonts that come with matplotlib, for papers that are written without it: Latin, Greek and Cyrillic letters."""

from importlib.util import find_spec
from pathlib import Path

from xaikit.errors import MissingPackage

FILES = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf")


def font_files() -> tuple[Path, ...]:
    """Give the files of a font, regular and bold, without importing matplotlib. Raises MissingPackage."""
    found = find_spec("matplotlib")
    folders = () if found is None else found.submodule_search_locations or ()
    paths = tuple(Path(folder) / "mpl-data" / "fonts" / "ttf" / name for folder in folders for name in FILES)
    if not paths or not all(path.is_file() for path in paths):
        raise MissingPackage("matplotlib", "report", "the fonts of a paper")
    return paths
