"""Benchmark of training steps against other libraries, interleaved: the implementation of ``zoo bench``.

Every library runs in its own process (:mod:`zoo.bench.peer_process`), with the number of threads set before
the library is imported. Only one process works at any moment. Only the requested libraries are imported, and
the main process needs no Numba.
"""
