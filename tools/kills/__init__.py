"""Kill runs and comparisons with SIGKILL, resume them, and compare them with undisturbed ones.

`equality` compares directories. `forks` and `points` kill forks of one warm process, `processes` real ones.
`trainings` and `comparisons` are the scenarios. `campaign` repeats them and counts; its command is
`tools/kill.py`.
"""
