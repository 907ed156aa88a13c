"""Linear and diagonal recurrences: gated averages, LRU, state space models and matrix memories."""
