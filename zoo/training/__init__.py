"""Training on texts and tasks, and run directories.

A name is imported when it is first used: `zoo train --help` needs only the settings, not the compiler.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.training.config import Config, make_config
    from zoo.training.dataset import Dataset, EvalResult
    from zoo.training.evaluation import Score, TaskScore, evaluate, evaluate_task
    from zoo.training.resume import resume_config
    from zoo.training.run import Interrupted, Run
    from zoo.training.session import train
    from zoo.training.task_dataset import TaskDataset
    from zoo.training.text_dataset import TextDataset, prepare_text
    from zoo.training.trainer import Analyse, Event

_HOMES = {
    "Analyse": "trainer",
    "Config": "config",
    "Event": "trainer",
    "Interrupted": "run",
    "EvalResult": "dataset",
    "TaskDataset": "task_dataset",
    "Dataset": "dataset",
    "Run": "run",
    "Score": "evaluation",
    "TaskScore": "evaluation",
    "TextDataset": "text_dataset",
    "evaluate": "evaluation",
    "evaluate_task": "evaluation",
    "make_config": "config",
    "prepare_text": "text_dataset",
    "resume_config": "resume",
    "train": "session",
}

__all__ = [
    "Analyse",
    "Config",
    "Dataset",
    "EvalResult",
    "Event",
    "Interrupted",
    "Run",
    "Score",
    "TaskDataset",
    "TaskScore",
    "TextDataset",
    "evaluate",
    "evaluate_task",
    "make_config",
    "prepare_text",
    "resume_config",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.training' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.training.{_HOMES[name]}"), name)
