"""Whole training steps of zoo beside other people's, measured in turn: what ``zoo bench`` does.

Every contender lives in a process of its own (:mod:`zoo.bench.worker`), for which threads are set before its
library is imported, and only one of them works at any moment. No library is imported that is not asked for,
and the process that asks needs no Numba.
"""
