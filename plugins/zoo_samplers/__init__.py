"""Samplers that come with zoo: each reshapes the logits of one step, then their softmax is drawn from.

One sampler a file. They chain with ``|``, left to right; each sees what the one before it left, so that a
truncation after ``temperature`` looks at the flattened or sharpened distribution.

Truncating samplers decide which symbols stay and leave their logits as they are; the others become ``-inf``.
Ties are broken by the lower index, so the same logits always keep the same set. Comparisons are made in
float64 as the definition states them, without a tolerance.
"""
