"""The tasks of zoo, one per file.

Examples are computed as whole arrays and all random numbers come from a ``zoo.TaskRng``, so that a batch
depends only on the seed, the part and the index of the batch.
"""
