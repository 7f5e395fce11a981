"""The example packages are built and installed, and do what their READMEs say, word for word, away from the checkout.

Only what needs a browser or an index of packages is left out: `xaikit app` and `pip install`.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PACKAGES = {
    "my_model_torch": ("digits_torch", "torch"),
    "my_model_keras": ("wine_keras", "keras"),
    "my_adapter": ("xaikit_onnx", "onnxruntime"),
    "my_method": ("ablation_cam", "torch"),
}
PAGE = 70
"""Lines of a README of one page."""
LINES = 150
"""The adapter is shorter than this."""

DRIVER = """
    import contextlib, io, json, re, runpy, shlex, sys
    from pathlib import Path

    def command(line):
        words = shlex.split(line)
        if words[:2] in (["pip", "install"], ["xaikit", "app"]):
            return
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = carried_out(words)
        assert not code, (line, code)
        print(f"$ {line}", said.getvalue(), sep="\\n")

    def carried_out(words):
        if words[0] == "xaikit":
            from xaikit.cli import main
            try:
                main(words[1:])
            except SystemExit as end:
                return end.code
        if words[:3] == ["python", "-m", "pytest"]:
            import pytest
            return int(pytest.main(["-q", "-p", "no:cacheprovider", "-p", "no:dash", "-W", "error", *words[3:]]))
        assert words[0] == "python" and len(words) == 2, words
        runpy.run_path(words[1], run_name="__main__")

    readme = Path("README.md").read_text(encoding="utf-8")
    for block in re.findall(r"(?:^    .*\\n)+|^```python\\n[^`]*^```", readme, re.M):
        if block.startswith("```"):
            exec(block.strip("`").removeprefix("python"), {})
        else:
            for line in block.splitlines():
                if line.split()[0] in ("xaikit", "python", "pip"):
                    command(line.strip())
"""
"""Does what a README says in one process, since a framework takes seconds to come in."""


def run(program: str, installed: Path, cwd: Path) -> str:
    """Run a program that finds the installed examples, and give what it says."""
    variables = {**os.environ, "PYTHONPATH": str(installed), "PYTHONWARNINGS": "ignore", "COLUMNS": "200"}
    command = [sys.executable, "-P", "-c", dedent(program)]
    done = subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:] + done.stdout[-1000:]
    return done.stdout


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with copies of the packages, as a reader makes them."""
    folder = tmp_path_factory.mktemp("examples")
    for name in PACKAGES:
        shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "out", "*.onnx"))
    return folder


@pytest.fixture(scope="module")
def installed(copies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build all packages and install them into a folder of their own."""
    pytest.importorskip("hatchling")
    target = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    folders = [str(copies / name) for name in PACKAGES]
    pip = [sys.executable, "-m", "pip", "install", *options, "--target", str(target), *folders]
    subprocess.run(pip, check=True, capture_output=True)
    return target


def needs(name: str) -> None:
    pytest.importorskip(PACKAGES[name][1])


def test_every_package_is_listed_and_every_link_leads_somewhere() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert {f"{name}/" for name in PACKAGES} <= set(links)
    assert [link for link in links if not (EXAMPLES / link).exists()] == []
    on_disk = {p.parent.name for p in EXAMPLES.glob("*/pyproject.toml")}
    assert on_disk == set(PACKAGES)


def test_readmes_are_one_page_and_the_adapter_is_short() -> None:
    for name in PACKAGES:
        assert len((EXAMPLES / name / "README.md").read_text(encoding="utf-8").splitlines()) <= PAGE, name
    sources = list((EXAMPLES / "my_adapter" / "xaikit_onnx").rglob("*.py"))
    assert sum(len(p.read_text(encoding="utf-8").splitlines()) for p in sources) < LINES


def test_all_are_found_by_their_entry_points_and_none_is_imported(installed: Path, tmp_path: Path) -> None:
    program = """
    import sys
    from xaikit import wrapping
    print(sorted((n, str(p)) for n, p in wrapping.models().items()))
    print(sorted(wrapping.adapters()), wrapping.frameworks())
    from xaikit.attribution import families, methods
    print(methods.guests(), sorted({"digits_torch", "wine_keras", "xaikit_onnx", "ablation_cam"} & set(sys.modules)))
    print("ablation-cam" in methods, families(methods)["others"])
    """
    models, adapters, guests, listed = run(program, installed, tmp_path).splitlines()
    assert models == str([(n, str(installed / n / "model.toml")) for n in ("digits_torch", "wine_keras")])
    assert adapters.startswith("['keras', 'onnx', 'torch'] ")
    assert "onnx" not in adapters.partition("] ")[2]  # it builds no networks of the zoo
    assert guests == "['ablation_cam'] []"
    assert listed == "True ['ablation-cam']"


def test_the_app_offers_installed_models_by_name(installed: Path, tmp_path: Path) -> None:
    pytest.importorskip("dash_mantine_components")
    program = """
    from xaikit.jobs import Recipe
    from xaikit_app.settings import Settings, choices
    offered = choices(Settings(models=tuple(Recipe(name).path for name in ("digits_torch", "wine_keras"))))
    print([(name, choice.recipes[""].source() == Recipe(name).source()) for name, choice in offered.items()])
    """
    assert run(program, installed, tmp_path).strip() == "[('digits_torch', True), ('wine_keras', True)]"


def test_the_pytorch_model_does_what_its_readme_says(installed: Path, copies: Path) -> None:
    needs("my_model_torch")
    folder = copies / "my_model_torch"
    program = f"""{DRIVER}
    import sys, numpy as np, xaikit as xk
    from sklearn.datasets import load_digits
    result = xk.load("out/seven.integrated-gradients")
    print(result.target_labels, result.origin.model, result.status, np.abs(result.values).max() > 0)
    digits = load_digits()
    model = xk.load_model("digits_torch")
    pixels = (digits.images * 255 / 16).round().astype(np.uint8)[..., None]
    print((model.run(model.inputs.encode(pixels)).output.argmax(1) == digits.target).mean())
    sys.path.append(".")
    import train
    train.EPOCHS = 3
    train.main()
    """
    said = run(program, installed, folder)
    assert "$ xaikit doctor digits_torch" in said
    assert (folder / "out" / "seven.integrated-gradients.png").is_file()
    assert (folder / "out" / "seven.occlusion.png").is_file()  # by the path of the description
    found, right, trained = said.splitlines()[-3:]
    assert found == "('7',) digits_torch ok True"
    assert float(right) > 0.98  # of all digits, a quarter of them not trained on
    assert float(trained.partition("%")[0]) > 80  # after three epochs of thirty


def test_the_keras_model_does_what_its_readme_says(installed: Path, copies: Path) -> None:
    needs("my_model_keras")
    folder = copies / "my_model_keras"
    program = f"""{DRIVER}
    import sys
    sys.path.append(".")
    import train
    train.EPOCHS = 8
    train.main()
    """
    said = run(program, installed, folder)
    assert "$ xaikit doctor wine_keras" in said
    assert "('first', 'second', 'first')" in said
    assert list((folder / "out").glob("*.kernel-shap.png"))
    assert list((folder / "out").glob("*.integrated-gradients.png"))
    assert float(re.findall(r"([\d.]+)% of 54 test wines", said)[0]) > 80  # after eight epochs of sixty


def test_the_adapter_does_what_its_readme_says_and_agrees_with_pytorch(installed: Path, copies: Path) -> None:
    needs("my_adapter")
    needs("my_model_torch")
    folder = copies / "my_adapter"
    program = f"""{DRIVER}
    import xaikit as xk
    from xaikit.arrays import agreement
    pair = [xk.load_model("digits_torch"), xk.load_model("model.toml")]
    for method in ("occlusion", "score-cam", "ablation-cam"):
        a, b = (xk.explain(m, "../my_model_torch/seven.png", method, accelerate="none").values for m in pair)
        print(method, agreement(a, b).max() < 1e-4, abs(a).max() > 1e-4)
    """
    said = run(program, installed, folder)
    assert "6 passed" in said  # its own test of the contract
    assert "no gradients" in said  # what doctor says of saliency and its kin
    assert (folder / "out" / "seven.score-cam.png").is_file()
    assert "('7',) ['conv1/Conv'," in said
    agreed = [f"{method} True True" for method in ("occlusion", "score-cam", "ablation-cam")]
    assert said.splitlines()[-3:] == agreed


def test_the_method_does_what_its_readme_says(installed: Path, copies: Path) -> None:
    needs("my_method")
    folder = copies / "my_method"
    program = f"""{DRIVER}
    import xaikit as xk
    figure = xk.plot(xk.load("out/seven.ablation-cam")).to_json()
    print("Ablation-CAM for 7" in figure, "weighted activation" in figure)
    """
    said = run(program, installed, folder)
    assert said.splitlines()[-1] == "True True"
    assert "6 passed" in said
    assert "Source: Desai and Ramaswamy" in said.replace("\n", " ")
    assert (folder / "out" / "seven.ablation-cam.png").is_file()
