"""What is built holds every package with its weights, works without the checkout, takes no foreign name."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "xaikit",
    "adapters/xaikit_torch",
    "adapters/xaikit_keras",
    "app/xaikit_app",
    "zoo_weights/xaikit_weights",
)
WITHOUT_CHECKOUT = f"""
import sys
checkout = {[str(ROOT / top) for top in (".", "adapters", "app", "zoo_weights")]!r}
sys.path[:] = [sys.argv[1], *(p for p in sys.path if p and p not in checkout)]
"""


def shipped_files() -> set[str]:
    """Paths below the packages' own folders, with the package's name first."""
    found = (
        (Path(package).name, file.relative_to(ROOT / package))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    )
    return {f"{name}/{path.as_posix()}" for name, path in found}


def tracked_files() -> set[str]:
    """The same of the files that git tracks; skips where there is no git, or no repository."""
    try:
        done = subprocess.run(["git", "ls-files", "-z", *PACKAGES], cwd=ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("needs git")
    if done.returncode:
        pytest.skip("this is no repository")
    top = {package: Path(package).name for package in PACKAGES}
    files = [name for name in done.stdout.split("\0") if (ROOT / name).is_file()]
    return {
        f"{top[package]}{file.removeprefix(package)}" for file in files for package in top if file.startswith(package)
    }


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("built")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT))
    return folder


@pytest.fixture(scope="session")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the checkout with nothing but the installed wheel."""
    folder = tmp_path_factory.mktemp("installed")
    wheel = next(built.glob("*.whl"))
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), str(wheel))
    return folder


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_package_on_disk_is_named() -> None:
    on_disk = {
        init.parent.relative_to(ROOT).as_posix()
        for top in ("adapters", "app", "zoo_weights")
        for init in (ROOT / top).glob("*/__init__.py")
    }
    assert on_disk | {"xaikit"} == set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


@pytest.mark.parametrize("folder", ["adapters", "app", "benchmarks", "examples", "zoo_weights"])
def test_top_level_folders_are_no_packages(folder: str) -> None:
    assert not (ROOT / folder / "__init__.py").exists()


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_the_adapters_are_found_by_the_root_module_of_the_framework(framework: str) -> None:
    found = entry_points(group="xaikit.adapters", name=framework)
    assert {point.value for point in found} == {f"xaikit_{framework}"}


@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_nothing_else(built: Path) -> None:
    names = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    assert {name for name in names if ".dist-info/" not in name} == shipped_files()


@pytest.mark.slow
def test_the_wheel_holds_all_that_is_tracked(built: Path) -> None:
    names = set(zipfile.ZipFile(next(built.glob("*.whl"))).namelist())
    tracked = tracked_files()
    assert tracked <= names, sorted(tracked - names)
    kinds = {Path(name).suffix for name in tracked}
    assert {".css", ".html", ".js", ".json", ".npz", ".py", ".safetensors", ".toml", ".txt", ".typed"} <= kinds


@pytest.mark.slow
def test_the_wheel_says_what_it_needs_and_is(built: Path) -> None:
    wheel = zipfile.ZipFile(next(built.glob("*.whl")))
    (name,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
    said = wheel.read(name).decode()
    assert "License-Expression: Apache-2.0" in said
    assert "Requires-Python: >=3.11" in said
    always = [line for line in said.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert not [line for line in always if re.search(r"torch|keras|tensorflow|dash", line)]


@pytest.mark.slow
def test_the_sdist_holds_the_packages(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    top = {Path(package).name: Path(package).parent for package in PACKAGES}
    assert {(top[f.partition("/")[0]] / f).as_posix() for f in shipped_files()} <= names
    assert {"LICENSE", "README.md", "pyproject.toml"} <= names


@pytest.mark.slow
def test_the_wheel_explains_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    program = f"""{WITHOUT_CHECKOUT}
import torch, xaikit as xk, xaikit_torch
for module in (xk, xaikit_torch):
    assert module.__file__.startswith(sys.argv[1]), module.__file__
net = torch.nn.Linear(2, 1, bias=False)
net.weight.data[:] = torch.tensor([[2.0, -3.0]])
print(xk.explain(xk.wrap(net), [[5.0, 7.0]], "gradient-x-input").values.tolist())
"""
    assert run(sys.executable, "-c", program, str(installed), cwd=tmp_path).strip() == "[[10.0, -21.0]]"


@pytest.mark.slow
def test_every_package_is_found_without_the_checkout(installed: Path, tmp_path: Path) -> None:
    program = f"""{WITHOUT_CHECKOUT}
from importlib.util import find_spec
for name in ("xaikit", "xaikit_torch", "xaikit_keras", "xaikit_app", "xaikit_weights"):
    print(find_spec(name).origin)
"""
    origins = run(sys.executable, "-c", program, str(installed), cwd=tmp_path).splitlines()
    assert [Path(origin).parent.parent for origin in origins] == [installed] * 5


def test_every_bound_holds_for_what_continuous_integration_runs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    versions = {canonicalize_name(name): version for name, version in pinned.items()}
    extras = project["optional-dependencies"]
    asked = [Requirement(text) for texts in (project["dependencies"], *extras.values()) for text in texts]
    for needed in asked:
        if needed.name != project["name"] and (needed.marker is None or needed.marker.evaluate()):
            assert needed.specifier.contains(versions[canonicalize_name(needed.name)]), needed
            upper = [bound for bound in needed.specifier if bound.operator not in (">=", "!=")]
            assert not upper, f"{needed} has an upper bound"
    assert len(asked) > 40


@pytest.mark.parametrize("name", ["adapters", "app"])
def test_a_foreign_package_of_the_name_of_our_folder_stays_importable(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("OWNER = 'somebody else'\n")
    program = f"import sys; sys.path.append(sys.argv[1]); import xaikit, {name}; print({name}.OWNER)"
    # Run in the checkout, where our folder of that name comes first on the path.
    assert run(sys.executable, "-c", program, str(tmp_path), cwd=ROOT).strip() == "somebody else"
