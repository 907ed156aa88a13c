"""Discretised differential equations: cells with a time step, given or learned."""
