"""Groups of tests that share a process when several processes run the suite.

Tests that use the same kernels belong together. Otherwise each process compiles or loads these kernels.
"""

from __future__ import annotations

from xdist.scheduler import LoadScopeScheduling

import zoo

CELL_FILES = ("tests/plugins/test_cells_golden.py", "tests/test_conformance.py")
PAGES = "tests/test_docs.py::test_page_prints_shown_output"


def group_of(nodeid: str) -> str:
    """Return the group of a test: its cell for the laws and golden values, its page, or else its file."""
    file, _, name = nodeid.partition("::")
    function, _, parameters = name.partition("[")
    if f"{file}::{function}" == PAGES:
        return nodeid
    if file in CELL_FILES:
        case = f"{parameters.removesuffix(']').partition('-')[0]}_"
        return max((cell for cell in zoo.list_cells() if case.startswith(f"{cell}_")), key=len, default=file)
    return file


class GroupScheduling(LoadScopeScheduling):
    """Give each group of tests to one process, in the order of their first tests.

    ``--dist=loadgroup`` has no effect under pytest 9.2: xdist 3.8 writes the group to an attribute that
    pytest no longer reads.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)
