"""The engine whose workers are those of a Dask cluster; only this room imports Dask.

`engine`, `handed` and `connecting` are at work where the comparison is led, `serving` and `slots` in the
workers, and `errand` says to both what has to be the same. Dask carries JSON, and the name of one function of
zoo: each job is done by a process of its own beside the Dask worker (`zoo.comparison.worker_main`), as here.
So a run that is called back saves, plugins are those of this comparison, and what crashes is no Dask worker.
"""

from zoo.comparison.dask_backend.executor import Dask, connected

__all__ = ["Dask", "connected"]
