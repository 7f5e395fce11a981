"""Write the pages of docs/ that are made from the code: python docs/generate.py."""

from pathlib import Path

from xaikit.cli._tables import dialect_rows

HERE = Path(__file__).parent
DIALECTS = """# Dialects

The same name is given to different calculations elsewhere. xaikit has one definition for each method, and takes another
library's defaults when it is asked to: `xk.explain(model, x, "saliency", dialect="captum")`, or on the command line
`xaikit explain MODEL INPUT --method saliency -p dialect=captum`. Parameters that are given go before the dialect's; the
dialect is recorded with the result, so that a replay speaks it too. `xaikit methods --dialects` prints this table.

| method | dialect | explains | parameters | then | remark |
|---|---|---|---|---|---|
"""


def dialects() -> str:
    """Give the page of dialects."""
    lines = (
        f"| {row['method']} | {row['dialect']} | {row['explains']} "
        f"| {', '.join(f'`{k}={v!r}`' for k, v in row['parameters'].items())} "
        f"| {', '.join(row['steps'])} | {row['remark']} |"
        for row in dialect_rows()
    )
    return DIALECTS + "\n".join(lines) + "\n"


PAGES = {"dialects.md": dialects}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (HERE / name).write_text(page(), encoding="utf-8")
