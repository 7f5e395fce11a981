"""What the README says can be done is done here as it stands: its Python, its commands, its links."""

import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

import xaikit as xk
from xaikit.cli import cli

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [c for c in re.findall(r"`(xaikit [a-z][^`]*)`", TEXT) if "MODEL" not in c]
LINKS = re.findall(r"\]\(([^)\s]+)\)", TEXT)
OPENS_A_BROWSER = "xaikit app"
THREE_MINUTES = 1100
"""Words, tables and code apart, at some 350 in a minute."""


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo, as the working one."""
    Image.radial_gradient("L").resize((90, 70)).convert("RGB").save(tmp_path / "photo.jpg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def lines_of_code(block: str) -> list[str]:
    return [line for line in block.splitlines() if line and not line.startswith("#")]


def test_there_is_one_example_of_five_lines_for_each_framework() -> None:
    assert [bool(re.search(r"^import keras$", block, re.MULTILINE)) for block in BLOCKS] == [True, False]
    assert "torch.nn.Module" in BLOCKS[1]
    assert [len(lines_of_code(block)) for block in BLOCKS] == [5, 5]


@pytest.mark.slow
def test_the_example_with_keras_runs(desk: Path) -> None:
    keras = pytest.importorskip("keras")
    layers = keras.layers
    stack = [layers.Input((64, 64, 3)), layers.Conv2D(4, 3, activation="relu"), layers.GlobalAveragePooling2D()]
    keras.Sequential([*stack, layers.Dense(2, activation="softmax")]).save(desk / "net.keras")
    _holds(BLOCKS[0], desk)


@pytest.mark.slow
def test_the_example_with_pytorch_runs(desk: Path) -> None:
    pytest.importorskip("torch")
    (desk / "my_project.py").write_text(
        "from torch import nn\n"
        "stack = nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)\n"
        "net = nn.Sequential(*stack)\n"
    )
    _holds(BLOCKS[1], desk)


def _holds(block: str, desk: Path) -> None:
    names: dict[str, object] = {}
    exec(compile(block, "README.md", "exec"), names)
    e = names["e"]
    assert isinstance(e, xk.results.Attribution)
    assert e.values.shape == (1, 64, 64, 3)
    assert e.target_labels == ("cat",)
    assert e.quality["completeness_gap_relative"][0] < 0.05
    assert "plotly" in (desk / "why.html").read_text(encoding="utf-8")


def test_every_command_is_one() -> None:
    assert {shlex.split(c)[1] for c in COMMANDS} >= {"app", "report", "audit", "selftest"}
    for command in COMMANDS:
        name = shlex.split(command)[1]
        assert name in cli.commands, command


@pytest.mark.slow
def test_the_commands_run(desk: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sqlalchemy")
    given = [c for c in COMMANDS if "photo.jpg" in c]
    assert [shlex.split(c)[1] for c in given] == ["report", "audit"]
    for command in given:
        done = CliRunner().invoke(cli, shlex.split(command)[1:])
        assert done.exit_code == 0, done.output
    assert (desk / "why" / "index.html").is_file()
    done = CliRunner().invoke(cli, ["audit", "verify", "--db", "sqlite:///audit.db"])
    assert done.exit_code == 0, done.output


def test_the_second_command_is_the_demo() -> None:
    commands = re.search(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert commands
    assert commands[1].splitlines()[1] == "cd xaikit && make demo"
    if shutil.which("make") is None:
        pytest.skip("needs make")
    asked = ["make", "--no-print-directory", "--dry-run", "demo"]  # the tests themselves may run under a make
    said = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == ".venv/bin/xaikit demo"


def test_every_extra_that_it_names_exists() -> None:
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {extra for given in re.findall(r"'\.\[([a-z,-]+)\]'", TEXT) for extra in given.split(",")}
    assert named == {"torch", "keras"}
    assert named <= set(known)


@pytest.mark.parametrize("link", sorted(set(LINKS)))
def test_a_link_leads_somewhere(link: str) -> None:
    assert "://" not in link
    path, _, anchor = link.partition("#")
    assert (ROOT / path).exists()
    if anchor:
        heads = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads}


def test_it_begins_with_one_picture_that_is_soon_there() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)
    assert pictures == ["docs/pictures/readme.webp"]
    assert (ROOT / pictures[0]).stat().st_size < 300_000
    with Image.open(ROOT / pictures[0]) as shown:
        assert shown.width >= 1600
        assert shown.convert("RGBA").getpixel((0, 0))[3] == 0  # the card's corner is clear: it shows the page's colour
    assert TEXT.index("![") < TEXT.index("## ")


def test_it_is_read_in_three_minutes() -> None:
    prose = re.sub(r"^```.*?^```$|^\|.*$|\]\([^)]*\)", "", TEXT, flags=re.DOTALL | re.MULTILINE)
    prose = "\n".join(line for line in prose.splitlines() if not line.startswith("|"))
    assert len(prose.split()) < THREE_MINUTES
