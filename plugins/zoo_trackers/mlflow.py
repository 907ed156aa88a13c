"""MLflow's tracking store."""

from __future__ import annotations

import hashlib
import importlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import zoo

Event = Mapping[str, Any]
_TAG = "zoo.run"
_STATUS = {"interrupted": "KILLED", "diverged": "FAILED"}


class Mlflow(zoo.Tracker):
    """An MLflow run with settings as parameters and numbers as metrics; resumed with the run of zoo.

    The tracking store is the option ``uri``, else MLFLOW_TRACKING_URI, else the default of MLflow.
    """

    name = "mlflow"
    family = "servers"
    card = zoo.Card(
        title="Accelerating the Machine Learning Lifecycle with MLflow",
        authors="Matei Zaharia, Andrew Chen, Aaron Davidson, Ali Ghodsi, Sue Ann Hong, Andy Konwinski, "
        "Siddharth Murching, Tomas Nykodym, Paul Ogilvie, Mani Parkhe, Fen Xie, Corey Zumar",
        year=2018,
        url="https://databricks.com/research/accelerating-the-machine-learning-lifecycle-with-mlflow",
    )
    requires = MappingProxyType({"mlflow": "recurrent-zoo[mlflow]"})
    uri = zoo.Option("", help="the tracking store, as in sqlite:///mlflow.db, or empty for MLflow's default")
    experiment = zoo.Option("zoo", help="the experiment of the runs")

    @contextmanager
    def open(self, start_event: Event) -> Iterator[Callable[[Event], None]]:
        """Start an MLflow run, or continue the run that a resumed run started."""
        client = importlib.import_module("mlflow").MlflowClient(self.options["uri"] or None)
        metric = importlib.import_module("mlflow.entities").Metric
        run, status = self._run(client, start_event), ["FINISHED"]

        def record(event: Event) -> None:
            now = int(1000 * time.time())
            metrics = [metric(name, value, now, event["step"]) for name, value in self.numbers(event).items()]
            client.log_batch(run, metrics=metrics)
            status[0] = _STATUS.get(event.get("reason", event["event"]), status[0])

        yield record
        client.set_terminated(run, status[0])

    def _run(self, client: Any, start_event: Event) -> str:
        """The identifier of the run."""
        name = self.options["experiment"]
        existing = client.get_experiment_by_name(name)
        experiment = existing.experiment_id if existing else client.create_experiment(name)
        mark = hashlib.sha256(str(Path(start_event["out"]).absolute()).encode()).hexdigest()
        if start_event["event"] == "resume":
            for run in client.search_runs([experiment], f"tags.`{_TAG}` = '{mark}'", max_results=1):
                client.update_run(run.info.run_id, status="RUNNING")
                return str(run.info.run_id)
        run = client.create_run(experiment, tags={_TAG: mark}, run_name=Path(start_event["out"]).name)
        for setting, value in start_event["config"].items():
            client.log_param(run.info.run_id, setting, value)
        return str(run.info.run_id)


@zoo.hookimpl
def zoo_register_trackers(register: Callable[[type[zoo.Tracker]], None]) -> None:
    """Register the tracker."""
    register(Mlflow)
