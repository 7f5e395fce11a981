"""`xaikit importance`, `break-down`, `profile`, `what-if`, `fairness`: tables, files in a folder, exit codes."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaikit as xk

pytestmark = pytest.mark.slow

pytest.importorskip("torch")


@pytest.fixture
def applicants(tmp_path: Path) -> Path:
    """A file of the typical applicants that ship with the network, with what is true in a column of its own."""
    rows = list(xk.zoo.load("credit_mlp").inputs.background)
    rng = np.random.default_rng(0)
    path = tmp_path / "applicants.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["town", *reversed(rows[0]), "risk"])  # another order, a column too many
        writer.writeheader()
        writer.writerows({**r, "town": "x", "risk": int(rng.integers(2))} for r in rows)
    return path


def test_importance(run: Any, applicants: Path, tmp_path: Path) -> None:
    code, out, err = run("importance", "credit_mlp", applicants, "-y", "risk", "-o", tmp_path / "o", "--repeats", 3)
    assert code == 0
    assert "checking_account" in out
    assert out.splitlines()[-1] == str((tmp_path / "o" / "importance.json").resolve())
    kept = xk.load(tmp_path / "o" / "importance.json")
    assert kept.losses.shape == (9, 3)
    assert (tmp_path / "o" / "importance.png").exists()
    assert all(line.startswith("warn: ") for line in err.splitlines())


def test_groups_in_json(run: Any, applicants: Path, tmp_path: Path) -> None:
    group = "money=saving_accounts,checking_account"
    code, out, _ = run(
        "importance", "credit_mlp", applicants, "-y", "risk", "--loss", "1-auc", "--group", group, "-o", tmp_path,
        "--json",
    )  # fmt: skip
    told = json.loads(out)
    assert code == 0
    assert len(told["rows"]) == 8
    assert {"money", "age"} <= {r["variable"] for r in told["rows"]}


def test_break_down(run: Any, applicants: Path, tmp_path: Path) -> None:
    code, out, _ = run("break-down", "credit_mlp", applicants, "-r", 3, "-t", "good", "-o", tmp_path, "--json")
    rows = json.loads(out)["rows"]
    assert code == 0
    assert rows[-1]["variable"] == "prediction (good)"
    total = sum(r["contribution"] for r in rows[:-1])
    assert total == pytest.approx(rows[-1]["contribution"], abs=1e-6)


def test_profile(run: Any, applicants: Path, tmp_path: Path) -> None:
    code, out, _ = run("profile", "credit_mlp", applicants, "age", "duration,credit_amount", "-o", tmp_path)
    assert code == 0
    assert "duration × credit_amount" in out
    assert (tmp_path / "partial-dependence.png").exists()
    code, _, _ = run("profile", "credit_mlp", applicants, "purpose", "--kind", "ale", "--by", "sex", "-o", tmp_path)
    assert code == 0
    assert xk.load(tmp_path / "ale").by == "sex"
    code, _, _ = run("profile", "credit_mlp", applicants, "age", "--kind", "ceteris-paribus", "-r", 2, "-o", tmp_path)
    assert xk.load(tmp_path / "ceteris-paribus").rows == 1


def test_what_if(run: Any, applicants: Path, tmp_path: Path) -> None:
    asked = ("what-if", "credit_mlp", applicants, "-r", 1, "-o", tmp_path)
    code, out, _ = run(*asked, "--set", "duration=12", "--set", "job=3", "--json")
    rows = json.loads(out)["rows"]
    assert code == 0
    assert rows[0]["change"] == "as it is"
    assert rows[-1]["change"] == "all together"
    code, _, err = run(*asked, "--set", "duration=12", "--set", "sex=female", "--set", "sex=male")
    assert code == 0
    is_it = {n for n, _, _ in xk.load(tmp_path / "what-if").changes}
    assert ("sex is male as it is" in err) == ("sex" not in is_it)


def test_counterfactuals(run: Any, applicants: Path, tmp_path: Path) -> None:
    asked = ("counterfactuals", "credit_mlp", applicants, "-r", 1, "-o", tmp_path)
    with applicants.open() as file:
        row = list(csv.DictReader(file))[1]
    code, out, _ = run(*asked, "--wanted", "bad", "--immutable", "sex", "--range", "duration=..30", "--json")
    found = xk.load(tmp_path / "counterfactuals")
    assert code == 0
    assert len(json.loads(out)["rows"]) == len(found) > 0
    for some in found.changes:
        new = {n: to for n, _, to in some}
        assert "sex" not in new
        assert float(new.get("duration", 0)) <= 30
    code, _, _ = run(*asked, "-w", "bad", "--allow", "housing=rent,free", "--count", 1, "--most", 1, "--at-least", 0.3)
    found = xk.load(tmp_path / "counterfactuals")
    assert code == 0
    assert found.bounds[0] == 0.3
    assert all(len(some) == 1 for some in found.changes)
    assert all(to in ("rent", "free") for some in found.changes for n, _, to in some if n == "housing")
    code, out, err = run(
        *asked, "-w", "bad", *(a for n in row if n not in ("town", "risk", "age") for a in ("--immutable", n))
    )
    assert (code, out.splitlines()[0]) == (0, "none")
    assert "no row with up to 3 changes" in err


def test_counterfactuals_of_numbers_and_windows(run: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    days = 15416 + 6864 * np.sin(np.linspace(0, 6, 48))[None, :, None] * rng.uniform(0.5, 1.5, (30, 1, 1))
    np.save(tmp_path / "days.npy", days.astype(np.float32))
    asked = ("rnn_forecast", tmp_path / "days.npy", "--variables", "windows:4", "-o", tmp_path)
    model = xk.zoo.load("rnn_forecast")
    start = float(model.run(model.inputs.to_network(days[:1])).output[0, 0])
    code, _, _ = run("counterfactuals", *asked, "-w", f"{start + 200:.0f}..")
    found = xk.load(tmp_path / "counterfactuals")
    assert code == 0
    assert found.bounds == (round(start + 200), np.inf)
    assert (found.scores >= found.bounds[0]).all()
    assert len(found.columns) == 4
    code, out, _ = run("break-down", *asked, "--json")
    assert code == 0
    assert len(json.loads(out)["rows"]) == 6
    code, out, _ = run("profile", *asked, "0 s–21600 s", "--kind", "ale", "--json")
    assert code == 0
    assert json.loads(out)["rows"][0]["column"] == "0 s–21600 s"
    code, out, _ = run("what-if", *asked, "--set", "0 s–21600 s=20000", "--json")
    assert code == 0
    assert len(json.loads(out)["rows"]) == 3
    np.save(tmp_path / "y.npy", np.zeros((30, 1)))
    bands = ("--variables", "bands:slow=0-0.00002,fast=0.00002-1")
    code, out, _ = run("importance", *asked[:2], "-y", tmp_path / "y.npy", *bands, "-o", tmp_path, "--json")
    assert code == 0
    assert {r["variable"] for r in json.loads(out)["rows"]} == {"slow", "fast"}


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["importance", "-y", "rsk"], 2, "did you mean 'risk'"),
        (["importance", "-y", "risk", "--loss", "rmse"], 2, "cross-entropy"),
        (["importance", "-y", "risk", "--group", "money"], 2, "NAME=COLUMN"),
        (["break-down", "-r", "99"], 2, "--row is a number from 0 to 39"),
        (["profile", "agee"], 2, "did you mean 'age'"),
        (["what-if"], 2, "xaikit counterfactuals"),
        (["what-if", "--set", "duration"], 2, "COLUMN=VALUE"),
        (["what-if", "--set", "housing=tent"], 5, "no category 'tent'"),
        (["counterfactuals", "-w", "goood"], 2, "did you mean 'good'"),
        (["counterfactuals", "-w", "1..2"], 2, "one class of bad, good"),
        (["counterfactuals", "-w", "good", "--range", "age=20"], 2, "LOW..HIGH"),
        (["counterfactuals", "-w", "good", "--range", "age"], 2, "COLUMN=LOW..HIGH"),
        (["counterfactuals", "-w", "good", "--range", "age=a..b"], 2, "LOW..HIGH"),
        (["counterfactuals", "-w", "good", "--allow", "housing=tent"], 5, "no category 'tent'"),
        (["counterfactuals", "-w", "good", "--immutable", "agee"], 2, "did you mean 'age'"),
        (["importance", "-y", "risk", "--variables", "window:3"], 2, "did you mean 'windows'"),
        (["importance", "-y", "risk", "--variables", "bands:alpha=8"], 2, "NAME=LOW-HIGH"),
        (["importance", "-y", "risk", "--variables", "windows:3"], 2, "(time, channel)"),
    ],
)
def test_mistakes(run: Any, applicants: Path, arguments: list[str], code: int, said: str) -> None:
    command, *rest = arguments
    found, _, err = run(command, "credit_mlp", applicants, *rest)
    assert (found, len(err.strip().splitlines())) == (code, 1)
    assert said in err


def test_files_that_are_not_there_or_empty(run: Any, tmp_path: Path) -> None:
    assert run("break-down", "credit_mlp", tmp_path / "no.csv")[0] == 5
    (tmp_path / "empty.csv").write_text("age,sex\n")
    code, _, err = run("break-down", "credit_mlp", tmp_path / "empty.csv")
    assert (code, "holds no rows" in err) == (5, True)


def test_a_truth_that_cannot_be_read_is_told_in_a_line(run: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.zeros((3, 28, 28, 1)))
    (tmp_path / "truth.npy").write_bytes(b"no array at all")
    asked = ("importance", "mnist_cnn", tmp_path / "rows.npy", "-y", tmp_path / "truth.npy", "-o", tmp_path)
    code, out, told = run(*asked)
    assert (code, out) == (5, "")
    assert "truth.npy is not a .npy array" in told
    assert "Traceback" not in told


def test_fairness(run: Any, applicants: Path, tmp_path: Path) -> None:
    asked = ("fairness", "credit_mlp", applicants, "-y", "risk", "-o", tmp_path)
    code, out, _ = run(*asked, "--by", "sex", "--json")
    rows = json.loads(out)["rows"]
    assert code == 0
    assert {r["sex"] for r in rows} == {"male", "female"}
    with applicants.open() as file:
        table = list(csv.DictReader(file))
    women = [int(r["risk"]) for r in table if r["sex"] == "female"]
    (share,) = (r for r in rows if r["measure"] == "share that is positive" and r["sex"] == "female")
    assert share["value"] == pytest.approx(np.mean(women))
    assert share["from"] < share["value"] < share["to"]
    kept = xk.load(tmp_path / "fairness.json")
    assert (kept.by, kept.positive, kept.cutoff) == ("sex", "good", 0.5)
    assert (tmp_path / "fairness.png").exists()
    code, out, _ = run(*asked, "--by", "town", "--positive", "bad", "--cutoff", 0.3)  # a column the model does not know
    assert code == 0
    assert "town" in out
    kept = xk.load(tmp_path / "fairness.json")
    assert (kept.by, kept.groups, kept.positive, kept.cutoff) == ("town", ("x",), "bad", 0.3)
    code, _, _ = run(*asked, "--by", "age")
    assert (code, len(xk.load(tmp_path / "fairness.json").groups)) == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-y", "risk", "--by", "sxe"], 2, "did you mean 'sex'"),
        (["-y", "rsk", "--by", "sex"], 2, "did you mean 'risk'"),
        (["-y", "risk", "--by", "sex", "--positive", "god"], 2, "did you mean 'good'"),
        (["-y", "risk", "--by", "sex", "--cutoff", "1.5"], 2, "between 0 and 1"),
        (["-y", "age", "--by", "sex"], 2, "this model has 2"),
    ],
)
def test_mistakes_of_fairness(run: Any, applicants: Path, arguments: list[str], code: int, said: str) -> None:
    found, _, err = run("fairness", "credit_mlp", applicants, *arguments)
    assert (found, len(err.strip().splitlines())) == (code, 1)
    assert said in err


def test_a_truth_with_gaps_is_told(run: Any, applicants: Path, tmp_path: Path) -> None:
    lines = applicants.read_text().splitlines()
    lines[3] = lines[3].rpartition(",")[0] + ","  # an empty cell
    (tmp_path / "gaps.csv").write_text("\n".join(lines))
    for command in (["importance"], ["fairness", "--by", "sex"]):
        code, _, err = run(*command[:1], "credit_mlp", tmp_path / "gaps.csv", "-y", "risk", *command[1:])
        assert (code, len(err.strip().splitlines())) == (5, 1)
        assert "no 'risk' in row 2, and in 0 more" in err


def test_one_of_several_outputs(run: Any, tmp_path: Path) -> None:
    """The digit and the thickness of a stroke, each by its name."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "digits.npy", rng.integers(0, 256, (6, 28, 28, 1)).astype(np.uint8))
    np.save(tmp_path / "digit.npy", rng.integers(0, 10, 6))
    asked = ("importance", "mnist_two_heads", tmp_path / "digits.npy", "-y", tmp_path / "digit.npy", "-o", tmp_path)
    code, _, _ = run(*asked, "-t", "digit", "--repeats", 2)
    assert code == 0
    assert xk.load(tmp_path / "importance").outputs[3] == "digit: 3"
    code, _, err = run(*asked)
    assert (code, len(err.strip().splitlines())) == (2, 1)
    assert "digit, thickness" in err
    asked = ("break-down", "mnist_two_heads", tmp_path / "digits.npy", "-o", tmp_path, "--json")
    code, out, _ = run(*asked, "-t", "digit:7")
    assert (code, json.loads(out)["rows"][-1]["variable"]) == (0, "prediction (digit: 7)")


COMMANDS: dict[str, list[str]] = {
    "importance": ["-y", "risk", "--repeats", "2"],
    "break-down": [],
    "profile": ["age"],
    "what-if": ["--set", "duration=12"],
    "fairness": ["-y", "risk", "--by", "sex"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [{k: v for k, v in r.items() if k != "age"} for r in rows], "lacks 'age'"),
        (lambda rows: [*rows[:2], {**rows[2], "housing": "tent"}, *rows[3:]], "no category 'tent'"),
        (lambda rows: [{**rows[0], "age": "nan"}, *rows[1:]], "nan"),
        (lambda rows: [{**rows[0], "age": ""}, *rows[1:]], "age"),
        (lambda rows: [{**rows[0], "age": "old"}, *rows[1:]], "'old'"),
    ],
    ids=["a missing column", "an unseen category", "nan", "an empty cell", "text"],
)
def test_wrong_files_are_told_in_a_line(
    run: Any, applicants: Path, tmp_path: Path, command: str, change: Any, said: str
) -> None:
    with applicants.open() as file:
        rows = change(list(csv.DictReader(file)))
    path = tmp_path / "wrong.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    code, out, err = run(command, "credit_mlp", path, *COMMANDS[command], "-o", tmp_path)
    assert (code, out, len(err.strip().splitlines())) == (5, "", 1)
    assert said in err


@pytest.mark.parametrize("command", COMMANDS)
def test_one_row_is_enough_to_say_so(run: Any, applicants: Path, tmp_path: Path, command: str) -> None:
    path = tmp_path / "one.csv"
    path.write_text("\n".join(applicants.read_text().splitlines()[:2]))
    code, out, err = run(command, "credit_mlp", path, *COMMANDS[command], "-o", tmp_path)
    assert code == 0
    assert out
    assert all(line.startswith(("warn: ", "fail: ")) for line in err.splitlines())
