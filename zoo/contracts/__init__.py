"""Contracts: what a cell, an optimizer and a sampler are. Nothing here imports Numba."""

from zoo.contracts.card import Card
from zoo.contracts.cell import Cell
from zoo.contracts.declarations import Option, Param, Slot, State
from zoo.contracts.member import Member
from zoo.contracts.optimizer import Optimizer
from zoo.contracts.sampler import Chain, Sampler

__all__ = ["Card", "Cell", "Chain", "Member", "Optimizer", "Option", "Param", "Sampler", "Slot", "State"]
