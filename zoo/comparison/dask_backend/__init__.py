"""Executor for the workers of a Dask cluster; only this package imports Dask.

`executor` runs in the leading process, `worker` in the Dask workers. Dask carries JSON and the name of one
function of zoo. Each job runs in a child process of the Dask worker (`zoo.comparison.worker_main`). So a
cancelled run saves, plugins belong to one comparison, and a crash leaves the Dask worker alive.
"""

from zoo.comparison.dask_backend.executor import DaskExecutor, connect

__all__ = ["DaskExecutor", "connect"]
