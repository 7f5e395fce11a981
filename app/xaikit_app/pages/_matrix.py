"""What the page Compare compares: the cells of methods × inputs as units, their results, and how far they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from xaikit.errors import XaikitError
from xaikit.figures import MatrixPanel, Panel, Scale, number, panels, spoken
from xaikit.jobs import Unit
from xaikit.quality import agreements
from xaikit.results import Attribution, Comparison, Faithfulness
from xaikit_app import cohorts, costs, forms, targets
from xaikit_app.pages import View
from xaikit_app.pages._choosing import bounds, first_methods
from xaikit_app.samples import Sample
from xaikit_app.services import Chosen
from xaikit_app.showing import apart

OFFERED = 24
"""As many inputs as can be chosen from."""
MOST = 8
"""As many inputs, and as many methods, as are compared at once."""
BEGIN = 3
"""So many inputs and methods are compared where the address names none."""


@dataclass(frozen=True)
class Column:
    """A method in one framework."""

    chosen: Chosen
    method: str
    several: bool

    @property
    def key(self) -> str:
        """What the address calls it."""
        return f"{self.method}.{self.chosen.framework}" if self.several else self.method

    @property
    def name(self) -> str:
        """What a Comparison calls it."""
        return f"{self.method} ({spoken(self.chosen.framework)})" if self.several else self.method

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{spoken(self.method)}, {spoken(self.chosen.framework)}" if self.several else spoken(self.method)


@dataclass(frozen=True, eq=False)
class Cell:
    """One explanation of the matrix: its unit is the same as that of the page Explain, so they share results."""

    column: Column
    sample: str
    unit: Unit

    @property
    def key(self) -> str:
        """What tells it from the others of a page."""
        return f"{self.sample} {self.column.key}"

    @property
    def curves(self) -> Unit:
        """The unit that hides and shows the parts in the map's order and in random ones."""
        u = self.unit
        return Unit(u.model, u.input, u.method, u.parameters, u.target, u.seed, task="app-curves")


class Matrix:
    """Methods × inputs of one view, and what is known of them by now."""

    def __init__(self, view: View) -> None:
        self.view, self.state = view, view.state

    @cached_property
    def offered(self) -> Sequence[Sample]:
        """The inputs to choose from; one that the address names is among them."""
        return cohorts.samples(self.view, OFFERED)

    @cached_property
    def served(self) -> list[str]:
        """The methods that can explain the model."""
        return [v.method for v in self.view.description.methods if v.serves]

    @cached_property
    def inputs(self) -> list[str]:
        """The ids of the inputs that are compared."""
        named = [id for id in self.state.more.get("inputs", "").split(",") if id]
        known = [sample.id for sample in self.offered]
        first = [self.state.sample] if self.state.sample else []
        return list(dict.fromkeys(named or [*first, *known][:BEGIN]))[:MOST]

    @cached_property
    def methods(self) -> list[str]:
        """The methods that are compared."""
        named = [m for m in self.state.methods if m in self.served]
        return named[:MOST] or first_methods(self.view.description)[:BEGIN]

    @cached_property
    def columns(self) -> list[Column]:
        """The methods, each in every framework that is compared."""
        both = self.state.more.get("compare") == "both" and len(self.view.chosen.choice.frameworks) > 1
        models = self.view.services.both(self.view.chosen) if both else (self.view.chosen,)
        return [Column(chosen, method, both) for method in self.methods for chosen in models]

    @cached_property
    def values(self) -> Mapping[str, Any]:
        """The inputs by id. Raises InputError for one that is not there any more."""
        services, view = self.view.services, self.view
        return {id: services.sample(view.chosen, view.description, id) for id in self.inputs}

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells, one input after the other. Raises InputError and TargetError."""
        target = targets.target_of(self.state.target or targets.default(self.view.description), self.view.description)
        return [self._cell(column, id, target) for id in self.inputs for column in self.columns]

    def _cell(self, column: Column, id: str, target: Any) -> Cell:
        method = column.method
        given = {**self._parameters(method), **forms.budget_for(method, bounds(self.state))}
        checked = {"evidence": "full"} if self.state.more.get("evidence") == "full" else {}
        seed = self.state.seed
        return Cell(column, id, Unit(column.chosen.key, self.values[id], method, {**given, **checked}, target, seed))

    def _parameters(self, method: str) -> dict[str, Any]:
        """Give the parameters that the address names, as the forms write them."""
        return forms.filled(method, dict(self.state.parameters.get(method, {})))

    # --- results ------------------------------------------------------------------------------------------------

    @cached_property
    def found(self) -> dict[str, Attribution]:
        """The results that are stored, by the keys of their cells."""
        stored = {cell.key: self.view.services.stored(cell.unit) for cell in self.cells}
        return {key: result for key, result in stored.items() if isinstance(result, Attribution)}

    @property
    def missing(self) -> list[Cell]:
        """The cells that have no result yet."""
        return [cell for cell in self.cells if cell.key not in self.found]

    def row(self, id: str) -> list[Cell]:
        """Give the cells of one input."""
        return [cell for cell in self.cells if cell.sample == id]

    @cached_property
    def drawn(self) -> dict[str, Panel]:
        """The panels of the results by cell, on one scale for each unit or on one for each method."""
        rows: dict[str, dict[str, Attribution]] = {}
        for cell in self.cells:
            if cell.key in self.found:
                rows.setdefault(f"{cell.sample} {cell.column.chosen.framework}", {})[cell.key] = self.found[cell.key]
        if not rows:
            return {}
        shared = self.state.more.get("scale") != "own"
        cells = iter(p for p in panels(rows, shared=shared).panels if p.badge is not None)
        return {key: next(cells) for members in rows.values() for key in members}

    def agreement(self, inputs: Sequence[str], absolute: bool = False) -> MatrixPanel | None:
        """Give the rank correlation of each pair of columns, the mean over inputs; None where none can be paired."""
        if len(self.columns) < 2:
            return None
        tables = [agreements([self.found.get(c.key) for c in self.row(id)], absolute) for id in inputs]
        stack = np.stack(tables)
        there = np.isfinite(stack).sum(0)
        if not there.any():
            return None
        mean = np.divide(np.nansum(stack, 0), there, out=np.full(there.shape, np.nan), where=there > 0)
        names = tuple(column.title for column in self.columns)
        pairs = [(i, j) for i in range(len(names)) for j in range(i) if np.isfinite(mean[i, j])]
        if not pairs:
            return None
        told = ", ".join(f"{names[j]} and {names[i]} {number(float(mean[i, j]), 2)}" for i, j in pairs)
        what = "sizes of the values" if absolute else "signed values"
        count = int(there.max())
        many = f"mean over {count} inputs" if count > 1 else "one input"
        return MatrixPanel(
            title=f"Rank agreement of the {what}",
            subtitle=f"Spearman, −1 to 1, {many}",
            names=names,
            values=mean,
            scale=Scale(1.0, "rank correlation"),
            alt=f"Rank agreement of the {what}, {many}: {told}.",
        )

    def frameworks(self) -> list[str]:
        """Say for each method how far its maps in two frameworks are apart, the worst of the inputs."""
        said = []
        for method in self.methods:
            own = [c for c in self.columns if c.method == method]
            if len(own) != 2:
                continue
            pairs = [[self.found.get(f"{id} {c.key}") for c in own] for id in self.inputs]
            gaps = [apart(a, b) for a, b in pairs if a is not None and b is not None]
            if gaps:
                names = " and ".join(spoken(c.chosen.framework) for c in own)
                worst = number(max(gaps), 2)
                said.append(f"{spoken(method)}: {names} differ by at most {worst} of the largest value.")
        return said

    def tried(self, id: str) -> dict[str, Faithfulness]:
        """Give the stored curves of one input by column."""
        stored = {c.column.name: self.view.services.stored(c.curves) for c in self.row(id)}
        return {name: result for name, result in stored.items() if isinstance(result, Faithfulness)}

    def comparison(self, id: str) -> Comparison | None:
        """Give what is known of one input as a Comparison: maps, agreement, curves; None without any curve."""
        curves = self.tried(id)
        own = {c.column.name: self.found[c.key] for c in self.row(id) if c.key in self.found}
        both = {name: curves[name] for name in own if name in curves}
        if not both:
            return None
        table = agreements(list(own.values()))
        return Comparison(own, tuple(own), table, faithfulness=both)

    def cost(self, cells: Sequence[Cell], pace: Any, factor: int = 1) -> str:
        """Say what cells will cost together."""
        calls = {cell.key: costs.calls(cell.unit.method, cell.unit.parameters, self.view.description) for cell in cells}
        total = factor * sum(calls.values())
        if pace is None:
            return f"about {total:,} model calls"
        time = sum(costs.taking(factor * calls[cell.key], cell.unit.method, pace) for cell in cells)
        return f"about {total:,} model calls, {'under 1 s' if time < 1 else costs.seconds(time)}"


def whole(view: View) -> Matrix | XaikitError:
    """Give the matrix of a view, or why there is none."""
    matrix = Matrix(view)
    try:
        _ = matrix.cells
    except XaikitError as error:
        return error
    return matrix


__all__ = ["BEGIN", "MOST", "Cell", "Column", "Matrix", "whole"]
