"""Gated cells: the GRU and related cells, with one state vector and gates."""
