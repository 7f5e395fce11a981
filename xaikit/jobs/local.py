"""Units carried out in this process, for models that live here."""

from collections.abc import Mapping
from os import PathLike
from typing import Any

from xaikit.errors import Cancelled, NotSupported, UnknownName, UsageError
from xaikit.jobs.kinds import tasks
from xaikit.jobs.line import Asked, Line, Order, Slot
from xaikit.jobs.unit import address, model_identity
from xaikit.model import Model


class Local(Line):
    """A thread of this process that carries out units on wrapped models, where a pool would have to load them anew.

    `models` by the name that units use; `queue`, `folder`, `limit`, `table` and `per_owner` as in Pool. Results of a
    function without a version are not stored. What is cancelled is cancelled at once, though the thread is free for the
    next unit only at the next step of the present one.
    """

    def __init__(
        self,
        models: Mapping[str, Model],
        queue: int = 64,
        folder: str | PathLike[str] | None = None,
        *,
        limit: int | None = None,
        table: str | PathLike[str] | None = None,
        per_owner: int | None = None,
    ) -> None:
        for name, model in models.items():
            if not hasattr(model, "run"):
                raise UsageError(f"{name} is a {type(model).__name__}, not a wrapped model: xk.wrap(net, inputs=...)")
        super().__init__(queue, folder, limit, table=table, per_owner=per_owner)
        self.models = dict(models)
        self._begin(lambda: [_Slot(self)])

    def _knows(self, name: str) -> bool:
        return name in self.models

    def _asked(self, name: str) -> Asked:
        if name not in self.models:
            raise UnknownName("model", name, self.models)
        model = self.models[name]
        try:
            identity = model_identity(model)
        except NotSupported:
            return Asked(model, f"{id(model)}", None)
        return Asked(model, identity, identity)


class _Slot(Slot):
    """A thread that works itself."""

    def carry_out(self, order: Order) -> dict[str, Any]:
        def check() -> None:
            if order.work.finished.is_set():
                raise Cancelled(f"{order.work.unit.title} was cancelled")

        def progress(done: int, total: int) -> None:
            check()
            self.line.step(order, int(done), int(total))

        unit, asked = order.work.unit, order.asked
        result = tasks[unit.task].run(asked.model, unit, progress)
        check()
        key = None if asked.identity is None else address(asked.identity, order.digest)
        if key is not None:
            self.line.store.put(key, result)
        return {"status": "done", "address": key, "result": result}

    def stop(self, order: Order) -> None:
        """Leave it to the next step, which sees that the work is finished."""
        return
