"""The model, the optimizer and the schedule of a run, which each of its trials makes anew."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import NamedTuple

from zoo.base import Cell, Optimizer
from zoo.base.param_groups import AnyOptimizer
from zoo.distributed.collectives import ProcessGroup
from zoo.errors import ZooWarning
from zoo.model import AnyModel
from zoo.training.config import Config
from zoo.training.dataset import RunDataset
from zoo.training.initial_parameters import InitialParameters
from zoo.training.regularisation import ParameterHooks, Regularisation
from zoo.training.schedules import Schedule, schedule_of_run


class RunParts(NamedTuple):
    """Arguments of the trainer that a :class:`RunFactory` makes.

    Args:
        model: A new model.
        optimizer: The optimizer, with its parameter groups.
        schedule: The schedule of the learning rate.
        hooks: Constraints and penalties; None for none.
    """

    model: AnyModel
    optimizer: AnyOptimizer
    schedule: Schedule
    hooks: ParameterHooks | None


@dataclass(frozen=True)
class RunFactory:
    """Makes the parts of a run. Runs of one seed have the same initial values.

    Args:
        dataset: The data.
        cell: The cell of all layers, or the list of the cell of each.
        optimizer: The optimizer, with its default learning rate.
        regularisation: Constraints, penalties and parameter groups.
        initial: The trained parameters that every model starts from; None for initial values of the seed.
    """

    dataset: RunDataset
    cell: Cell | list[Cell]
    optimizer: Optimizer
    regularisation: Regularisation
    initial: InitialParameters | None = None

    def make(self, config: Config) -> RunParts:
        """The parts for a configuration.

        Raises:
            ZooError: if the configuration does not suit a component.
        """
        schedule = schedule_of_run(config.schedule, config.schedule_options, config.steps or 0)
        with warnings.catch_warnings():
            # Errors of a new run. Runs of older versions may have residual connections without effect.
            warnings.filterwarnings("ignore", ".*has no effect", ZooWarning)
            model = self.dataset.make_model(self.cell, config)
        if self.initial is not None:
            self.initial.fill(model)
        optimizer, hooks = self.regularisation.bind(model, self.optimizer)
        return RunParts(model, optimizer, schedule, hooks)


def join_process_group(model: AnyModel, config: Config, group: ProcessGroup) -> None:
    """Share every batch with the other processes."""
    model.process_group = group
    if config.threads is None:
        model.threads = group.local_threads(model.threads)
