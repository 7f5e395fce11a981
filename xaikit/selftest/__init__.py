"""Whether this installation calculates what it should: golden cases on each framework, against values known before.

    from xaikit import selftest

    for outcome in selftest.run():
        print(outcome.framework, outcome.case, outcome.difference, outcome.verdict)

`xaikit selftest` prints them as a table. There is no `xk.selftest()`: no public function has the name of a module.
"""

from xaikit.selftest._case import Case, cases
from xaikit.selftest._run import Outcome, run

__all__ = ["Case", "Outcome", "cases", "run"]
