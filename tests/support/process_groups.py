"""Groups of tests that share a process when several processes run the suite.

Tests that use the same kernels belong together. Otherwise each process compiles or loads these kernels.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

import zoo

CELL_FILES = ("tests/plugins/test_cells_golden.py", "tests/test_conformance.py", "tests/export/test_js.py")
PAGES = "tests/test_docs.py::test_page_prints_shown_output"

cell_names = functools.cache(zoo.list_cells)


def group_of(nodeid: str) -> str:
    """Return the group of a test: its cell for the laws and golden values, its page, or else its file."""
    file, _, name = nodeid.partition("::")
    function, _, parameters = name.partition("[")
    if f"{file}::{function}" == PAGES:
        return nodeid
    if file in CELL_FILES:
        case = f"{parameters.removesuffix(']').partition('-')[0]}_"
        return max((cell for cell in cell_names() if case.startswith(f"{cell}_")), key=len, default=file)
    return file


def reports_to_send(reports: Iterable[pytest.TestReport]) -> Iterator[pytest.TestReport]:
    """Select the reports of a test that the main process needs: without fast setups and teardowns that pass.

    Setup, test, teardown, beginning and end are a message each, and the main process reads the messages of
    28,000 tests. 5,000 trivial tests in two processes took 14.6 s of a processor with one message for each
    test, and 24.7 s with five. ``--durations`` lists setups and teardowns above 0.1 s.
    """
    return (each for each in reports if each.when == "call" or not each.passed or each.duration > 0.1)


class GroupScheduling(LoadScopeScheduling):
    """Give each group of tests to one process, in the order of their first tests.

    ``--dist=loadgroup`` has no effect under pytest 9.2: xdist 3.8 writes the group to an attribute that
    pytest no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    @functools.cached_property
    def _indices(self) -> dict[str, int]:
        return {nodeid: index for index, nodeid in enumerate(self.collection or [])}

    def _assign_work_unit(self, node: Any) -> None:
        """Send a group of tests to a process, without a search of the list of all tests for each of them."""
        group, tests = self.workqueue.popitem(last=False)
        self.assigned_work[node][group] = tests
        node.send_runtest_some([self._indices[nodeid] for nodeid, is_done in tests.items() if not is_done])

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Forget groups that are done: xdist counts the pending tests of all groups after each test."""
        super().mark_test_complete(node, item_index, duration)
        groups = self.assigned_work[node]
        for group in [name for name, tests in groups.items() if all(tests.values())]:
            del groups[group]
