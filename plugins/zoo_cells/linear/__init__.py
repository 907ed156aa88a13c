"""Linear recurrences, which a parallel scan could run: minGRU, LRU and their relatives."""
