"""Linear recurrences, which a parallel scan could run: minGRU, LRU, state spaces and matrix memories."""
