"""Training: a text or a task and a configuration in, a run directory out.

A name is imported when it is first used: `zoo train --help` needs the settings alone, and no compiler.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.training.config import Config, make_config
    from zoo.training.dataset import Measured, Reader
    from zoo.training.evaluation import Score, TaskScore, evaluate, evaluate_task
    from zoo.training.resume import resume_config
    from zoo.training.run import Interrupted, Run
    from zoo.training.session import train
    from zoo.training.task_dataset import Practice
    from zoo.training.text_dataset import Text, prepare
    from zoo.training.trainer import Analyse, Event

_HOMES = {
    "Analyse": "trainer",
    "Config": "config",
    "Event": "trainer",
    "Interrupted": "run",
    "Measured": "dataset",
    "Practice": "task_dataset",
    "Reader": "dataset",
    "Run": "run",
    "Score": "evaluation",
    "TaskScore": "evaluation",
    "Text": "text_dataset",
    "evaluate": "evaluation",
    "evaluate_task": "evaluation",
    "make_config": "config",
    "prepare": "text_dataset",
    "resume_config": "resume",
    "train": "session",
}

__all__ = [
    "Analyse",
    "Config",
    "Event",
    "Interrupted",
    "Measured",
    "Practice",
    "Reader",
    "Run",
    "Score",
    "TaskScore",
    "Text",
    "evaluate",
    "evaluate_task",
    "make_config",
    "prepare",
    "resume_config",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.training' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.training.{_HOMES[name]}"), name)
