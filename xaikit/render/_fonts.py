"""Fonts with letters of many alphabets, as files."""

from pathlib import Path


def font_files() -> dict[str, Path]:
    """Give the DejaVu fonts that come with matplotlib, by style: "" is the plain one, "B" bold, "I" slanted."""
    from matplotlib import get_data_path

    folder = Path(get_data_path()) / "fonts" / "ttf"
    return {style: folder / f"DejaVuSans{name}.ttf" for style, name in (("", ""), ("B", "-Bold"), ("I", "-Oblique"))}
