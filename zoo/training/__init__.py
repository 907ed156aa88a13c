"""Training on texts, tables and tasks, and run directories.

A name is imported when it is first used: `zoo train --help` needs only the settings, not the compiler.
"""

from __future__ import annotations

from zoo._lazy import attach

_EXPORTS = {
    "config": "Config",
    "config_conversion": "make_config",
    "dataset": "Dataset EvalResult",
    "evaluation": "Score TaskScore evaluate evaluate_task",
    "labelled_dataset": "LabelledDataset",
    "resume": "resume_config",
    "run": "Interrupted Run",
    "series_dataset": "SeriesDataset",
    "session": "train",
    "task_dataset": "TaskDataset",
    "text_dataset": "TextDataset prepare_text",
    "trainer": "Analyse Event",
}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS)
