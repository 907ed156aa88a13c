"""Contracts: what a cell, an optimizer, a sampler, a task and a tracker are. Nothing here imports Numba."""

from zoo.contracts.card import Card
from zoo.contracts.cell import Cell
from zoo.contracts.declarations import Buffer, Input, Option, Param, Slot, State
from zoo.contracts.draws import Draws
from zoo.contracts.member import Member
from zoo.contracts.modifier import Modifier
from zoo.contracts.noise import Noise
from zoo.contracts.optimizer import Optimizer
from zoo.contracts.output import Output
from zoo.contracts.sampler import Chain, Sampler
from zoo.contracts.task import Batch, Task
from zoo.contracts.tracker import Tracker

__all__ = [
    "Batch",
    "Buffer",
    "Card",
    "Cell",
    "Chain",
    "Draws",
    "Input",
    "Member",
    "Modifier",
    "Noise",
    "Optimizer",
    "Option",
    "Output",
    "Param",
    "Sampler",
    "Slot",
    "State",
    "Task",
    "Tracker",
]
