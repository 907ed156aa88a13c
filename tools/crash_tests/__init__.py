"""Kill runs and comparisons with SIGKILL, resume them, and compare them with undisturbed ones.

`equality` compares directories. `forks` and `crash_points` kill forks of one warm process, `processes` real
ones. `trainings` and `comparisons` are the scenarios. `campaign` repeats them and counts. Its command is
`tools/crash_test.py`.
"""
