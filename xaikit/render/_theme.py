"""The colours of everything that is not data."""

from dataclasses import dataclass
from typing import Literal

ThemeName = Literal["light", "dark"]


@dataclass(frozen=True)
class Theme:
    """Ink and paper, and a colour for each verdict and line; every ink has a contrast of at least 4.5 on its paper."""

    ink: str
    muted: str
    faint: str
    paper: str
    accent: str
    verdicts: tuple[str, str, str]
    series: tuple[str, ...]

    def verdict(self, level: str) -> str:
        """Give the colour of "ok", "warn" or "fail", and of anything else a quiet one."""
        return dict(zip(("ok", "warn", "fail"), self.verdicts, strict=True)).get(level, self.muted)


LINES_ON_LIGHT = ("#2f6db5", "#b34700", "#1f7a4d", "#7a3fa0", "#8f5c00", "#a0306a")
LINES_ON_DARK = ("#6aa5e8", "#f2a266", "#5fcf97", "#c9a0e6", "#e0ac4f", "#f08cbc")
"""Colours of lines, in turn."""

THEMES: dict[str, Theme] = {
    "light": Theme(
        "#16202b", "#55626f", "#d9dfe5", "#ffffff", "#2f6db5", ("#1f7a4d", "#8f5c00", "#b3261e"), LINES_ON_LIGHT
    ),
    "dark": Theme(
        "#e8edf2", "#a5b1bd", "#3a4550", "#161b22", "#6aa5e8", ("#5fcf97", "#e0ac4f", "#ff8a80"), LINES_ON_DARK
    ),
}

PAGE = Theme(
    "var(--ink)",
    "var(--muted)",
    "var(--line)",
    "transparent",
    "var(--accent)",
    ("var(--ok)", "var(--warn)", "var(--fail)"),
    tuple(f"var(--line{k})" for k in range(len(LINES_ON_LIGHT))),
)
"""The colours of the page that an SVG stands in, which declares these variables for light and for dark."""
