"""Work in other processes: a pool of workers that keep their models, and a store of results by address.

with Pool(["mnist_cnn"], workers=2) as pool:
    job = pool.submit(Unit("mnist_cnn", digit, "lime", {"samples": 500}))
    job.progress, job.status
    job.result()
"""

from xaikit.jobs.cluster import Cluster
from xaikit.jobs.job import Job, Runner
from xaikit.jobs.kinds import Task, given, tasks
from xaikit.jobs.local import Local
from xaikit.jobs.pool import Pool
from xaikit.jobs.remote import store_at
from xaikit.jobs.store import Store
from xaikit.jobs.unit import Recipe, Unit

__all__ = ["Cluster", "Job", "Local", "Pool", "Recipe", "Runner", "Store", "Task", "Unit", "given", "store_at", "tasks"]
