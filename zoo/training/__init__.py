"""Training: a text or a task and a configuration in, a run directory out."""

from zoo.training.config import Config, make_config
from zoo.training.evaluation import Score, TaskScore, evaluate, evaluate_task
from zoo.training.practice import Practice
from zoo.training.reading import Measured, Reader
from zoo.training.resuming import resume_config
from zoo.training.run import Interrupted, Run
from zoo.training.session import train
from zoo.training.text import Text, prepare
from zoo.training.trainer import Analyse, Event

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
