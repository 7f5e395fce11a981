"""Two servers of the app whose work is done by a worker of a cluster, with a real Redis."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from tests.jobs.conftest import SOON, until
from tests.jobs.test_cluster import Redis, Workers
from xaikit.errors import QueueFull, UnknownName
from xaikit.jobs import Unit

pytest.importorskip("torch")
pytest.importorskip("celery")
pytest.importorskip("dash")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]


def test_two_servers_share_a_worker(tmp_path: Path) -> None:
    from xaikit_app.services import Services
    from xaikit_app.settings import Settings
    from xaikit_app.state import State
    from xaikit_app.work.describe import Description

    redis = Redis(tmp_path)
    workers = Workers(redis, tmp_path / "shared")
    given: dict[str, Any] = {"models": ("xo_cnn",), "broker": redis.url, "store": str(tmp_path / "shared")}
    one, two = (Services(Settings(cache=tmp_path / name, per_session=2, **given)) for name in ("one", "two"))
    try:
        workers.start()
        chosen = one.choose(State(framework="torch"))
        until(lambda: isinstance(one.description(chosen), Description))
        assert isinstance(two.description(chosen), Description), "what one server asked for is there for the other"
        x = np.zeros((9, 9))
        job = one.submit(Unit(chosen.key, x, "saliency"), owner="ann")
        assert_array_equal(two.job(job.id, "ann").result(SOON).values, job.result(SOON).values)
        with pytest.raises(UnknownName):
            two.job(job.id, "bob")
        busy = [
            server.submit(Unit(chosen.key, x, "lime", {"samples": 10**7}, seed=n), owner="ann")
            for n, server in enumerate((one, two))
        ]
        with pytest.raises(QueueFull, match="2 of your jobs"):
            two.submit(Unit(chosen.key, x, "occlusion"), owner="ann")
        assert [each.id for each in two.jobs("ann")] == [busy[1].id, busy[0].id, job.id]
        for each in busy:
            two.job(each.id, "ann").cancel()
        assert two.submit(Unit(chosen.key, x, "occlusion"), owner="ann").result(SOON) is not None
    finally:
        one.close()
        two.close()
        workers.stop()
        redis.stop()
