"""Scheduling: which values are computed before, in and after the time loop, and in which loops."""
