"""Studies: a plan of inputs and methods, carried out into a folder that holds every result once.

import xaikit as xk

plan = xk.study.load_plan("plan.toml")
print(xk.study.validate(plan).estimated_seconds())
done = xk.study.run(plan, "out", workers=2)
for row in done.study.rows():
    print(row["input"], row["method"], row["status"])
xk.study.diff("out", "out-of-the-new-model").methods()
"""

from xaikit.study._diff import MethodDiff, StudyDiff, UnitDiff, diff
from xaikit.study._executors import Executor, Outcome, Planned
from xaikit.study._folder import Study, open_study
from xaikit.study._gate import Rule
from xaikit.study._merge import Merged, merge
from xaikit.study._plan import InputsPlan, MethodPlan, OutputsPlan, Plan, QualityPlan, load_plan, read_plan
from xaikit.study._run import Counts, StudyResult, run
from xaikit.study._validate import Validation, validate

__all__ = [
    "Counts",
    "Executor",
    "InputsPlan",
    "Merged",
    "MethodDiff",
    "MethodPlan",
    "Outcome",
    "OutputsPlan",
    "Plan",
    "Planned",
    "QualityPlan",
    "Rule",
    "Study",
    "StudyDiff",
    "StudyResult",
    "UnitDiff",
    "Validation",
    "diff",
    "load_plan",
    "merge",
    "open_study",
    "read_plan",
    "run",
    "validate",
]
