"""The pure parts of ``tools/time_to_loss.py``."""

from __future__ import annotations

import time_to_loss as tool

CURVE = [(50, 2.0), (100, 1.7), (150, 1.72), (200, 1.6)]
MEASURED = {
    "about": "a machine",
    "cells": {
        "gru": {
            "torch": [(1000, 1.9), (3000, 1.65)],
            "zoo": {"curve": CURVE, "trials": [{"steps": 30}, {"steps": 20}], "lr": 0.01, "batch": 16},
            "seconds": (0.02, 0.005),
        }
    },
}


def test_updates_to_the_first_validation_with_a_loss():
    assert [tool.updates_to(CURVE, loss) for loss in (1.9, 1.7, 1.65, 1.5)] == [100, 100, 200, None]


def test_seconds_include_the_trials():
    rows = list(tool.rows(MEASURED))
    assert rows[0] == ("gru", "1.90", "1,000", "20.0", "100", "0.8", "26.7"), "50 + 100 updates of 5 ms"
    assert rows[1] == ("gru", "1.70", "3,000", "60.0", "100", "0.8", "80.0")
    assert rows[2] == ("gru", "1.61", "–", "–", "200", "1.2", "–")
    assert rows[3] == ("gru", "1.650 (PyTorch's last)", "3,000", "60.0", "200", "1.2", "48.0")


def test_page_has_both_tables():
    about, times, chosen = tool.paragraphs(MEASURED)
    assert about == "a machine"
    assert times.splitlines()[1:3] == [
        "|---|--:|--:|--:|--:|--:|--:|",
        "| gru | 1.90 | 1,000 | 20.0 | 100 | 0.8 | 26.7 |",
    ]
    assert "| gru | lr 0.01, 16 streams | 50 | 20.0 | 5.0 |" in chosen
