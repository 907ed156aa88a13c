"""Kinds of data, and the parts of a data set or a task."""

from __future__ import annotations

DATA_KINDS = ("text", "task", "table", "sequences")
"""Kinds of data; an entry of this name in a checkpoint describes the data of training."""

PARTS = ("train", "valid", "test")
"""Parts for training, for validation during training, and for a final evaluation."""
