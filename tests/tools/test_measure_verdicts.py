"""The shares of wrong verdicts in docs/compare.md."""

from __future__ import annotations

from pathlib import Path

import measure_verdicts
import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "compare.md"


@pytest.mark.parametrize(("cells", "tasks"), measure_verdicts.SETTINGS)
def test_page_has_the_measured_shares_and_equal_cells_at_most_five_percent(cells, tasks):
    row = measure_verdicts.table_row(cells, tasks)
    assert f"| {' | '.join(row)} |" in PAGE.read_text(encoding="utf-8").splitlines()
    for share in measure_verdicts.wrong_verdicts(tasks, np.ones(cells)):
        assert share <= 0.05
