"""Compile the kernels of a cell ahead of time, for tokens and for numbers: training, samples and steppers."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.base import Cell
from zoo.data import Corpus
from zoo.distributed.collectives import SINGLE_PROCESS
from zoo.layers.recurrent import Recurrent
from zoo.registry import get_optimizer, resolve_task
from zoo.training.config import Config
from zoo.training.config_conversion import make_config
from zoo.training.schedules import make_schedule
from zoo.training.state import TrainingState
from zoo.training.task_dataset import prepare_task
from zoo.training.text_dataset import prepare_text
from zoo.training.trainer import Trainer

_STEPS, _ROWS = 4, 16  # two shards, so that the functions of the thread pool are compiled too


def build_kernels(cell: Cell, dtype: str, precision: str | None = None) -> None:
    """Compile the kernels of a cell for training, samples and steppers, or load those that are stored.

    They serve all sizes of one layer with ``adam`` and the default losses: cross-entropy of tokens, and the
    squared error of numbers. Another number of layers, optimizer or loss, and samplers, need further kernels.

    Args:
        cell: The cell with its options.
        dtype: ``"float32"`` or ``"float64"``.
        precision: Precision of the matrix products; None for the dtype.

    Raises:
        ZooError: if the cell cannot be compiled, or the precision is not available.
    """
    settings: dict[str, Any] = {"cell": cell.name, "dtype": dtype, "precision": precision}
    settings |= {"steps": 1000, "batch": _ROWS}
    tokens = (np.arange(2 * _ROWS * _STEPS) % 3).astype(np.int32)
    corpus = Corpus("tokens", "char", ("a", "b", "c"), tokens, "0" * 64, len(tokens))
    text_model = _compile(
        cell, *prepare_text(make_config({**settings, "seq": _STEPS, "split": "100"}), corpus)
    )
    text_model.stepper()(tokens[:1])
    text_model.sample("a", 1)
    task = resolve_task("adding", length=_STEPS)
    named = {"task": task.name, "task_options": dict(task.options), "data": ()}
    model = _compile(cell, *prepare_task(make_config({**settings, **named}), task))
    layers = Recurrent(cell, task.input_size, model.config.hidden_size, dtype=dtype, precision=precision)
    for each in (model, layers):
        each.stepper()(np.zeros((1, task.input_size), dtype))


def _compile(cell: Cell, config: Config, dataset: Any) -> Any:
    """Compile the kernels of training, and return the model."""
    model, schedule = dataset.make_model(cell, config), make_schedule(config.schedule)
    optimizer = get_optimizer(config.optimizer)
    state = TrainingState(optimizer.init(model.theta), schedule.init())
    parts = model, optimizer, schedule, state, None, SINGLE_PROCESS
    trainer = Trainer(config, dataset, *parts, emit=lambda _: None)
    trainer.compile_kernels(wait=True)
    trainer.clip.apply(np.full_like(model.grad, 1e3))  # a gradient that is clipped
    return model
