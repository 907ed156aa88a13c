"""Tasks that come with zoo: what networks with a memory are tried on, one task a file.

Examples are drawn as whole arrays from the numbers that zoo hands in (``zoo.Draws``), never from a generator
of their own, so that a batch depends on seed, part and number alone.
"""
