"""Training: a text and a configuration in, a run directory out."""

from zoo.training.config import Config, make_config
from zoo.training.evaluation import Score, evaluate
from zoo.training.resuming import resume_config
from zoo.training.run import Interrupted, Run
from zoo.training.session import train
from zoo.training.text import Text, prepare
from zoo.training.trainer import Event

__all__ = [
    "Config",
    "Event",
    "Interrupted",
    "Run",
    "Score",
    "Text",
    "evaluate",
    "make_config",
    "prepare",
    "resume_config",
    "train",
]
