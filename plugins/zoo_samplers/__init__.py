"""The samplers of zoo, one per file: each transforms the logits of one step before a symbol is drawn.

Samplers are chained with ``|``, from left to right. Each gets the logits of the one before it, so a
truncation after ``temperature`` uses the flattened or sharpened distribution.

Truncating samplers keep the logits of some symbols and set the others to ``-inf``. Ties are broken by the
lower index, so equal logits always keep the same set. Comparisons are made in float64 as the definition
states them, without a tolerance.
"""
