"""Gated cells: LSTM, GRU and their relatives."""
