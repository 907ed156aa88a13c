"""Base classes of all components. Nothing here imports Numba."""

from zoo.base.batch import Batch
from zoo.base.block import Block
from zoo.base.bound_optimizer import BoundOptimizer
from zoo.base.card import Card
from zoo.base.cell import Cell, Output
from zoo.base.component import Component
from zoo.base.constraint import Constraint
from zoo.base.declarations import Buffer, Input, Option, Param, State, StateSlot
from zoo.base.gates import Gates
from zoo.base.modifier import Modifier
from zoo.base.noise import Noise
from zoo.base.optimizer import Optimizer
from zoo.base.penalty import Penalty
from zoo.base.sampler import Chain, Sampler
from zoo.base.task import Task
from zoo.base.task_rng import TaskRng
from zoo.base.tracker import Tracker

__all__ = [
    "Batch",
    "Block",
    "BoundOptimizer",
    "Buffer",
    "Card",
    "Cell",
    "Chain",
    "Component",
    "Constraint",
    "Gates",
    "Input",
    "Modifier",
    "Noise",
    "Optimizer",
    "Option",
    "Output",
    "Param",
    "Penalty",
    "Sampler",
    "State",
    "StateSlot",
    "Task",
    "TaskRng",
    "Tracker",
]
