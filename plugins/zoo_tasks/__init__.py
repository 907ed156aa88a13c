"""The tasks that ship with zoo, one a file.

Examples are computed as whole arrays from a ``zoo.TaskRng``, never from another generator, so that a batch
depends on the seed, the part and the number of the batch alone.
"""
