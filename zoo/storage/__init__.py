"""Atomic file writes, checkpoints with checksums, logs and run directories."""

from __future__ import annotations

from zoo.storage.atomic import remove_temporaries, write_bytes, write_json
from zoo.storage.checkpoint import MAX_BYTES, Checkpoint, digest, expect, load, pack, save, unpack
from zoo.storage.run_directory import PLAN_FILE, ReadOnlyRunDirectory, RunDirectory

__all__ = [
    "MAX_BYTES",
    "PLAN_FILE",
    "Checkpoint",
    "ReadOnlyRunDirectory",
    "RunDirectory",
    "digest",
    "expect",
    "load",
    "pack",
    "remove_temporaries",
    "save",
    "unpack",
    "write_bytes",
    "write_json",
]
