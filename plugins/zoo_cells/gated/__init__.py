"""Gated cells: the GRU and its relatives, with one state and gates upon it."""
