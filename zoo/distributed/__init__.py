"""Data-parallel training under MPI: ``mpiexec -n 4 zoo train ...`` (docs/scaling.md).

The ranks of a job hold the same parameters, divide the shards of every batch, and sum its gradient in the
order of the shards: n ranks compute, bit for bit, what one process computes.
"""
