"""Whole training steps of zoo beside other people's, measured in turn: what ``zoo bench`` does.

Every library runs in its own process (:mod:`zoo.bench.peer_server`), which sets the threads before it imports
the library, and only one of them works at any moment. No library is imported that is not asked for,
and the process that asks needs no Numba.
"""
