"""The groups of tests that share a process."""

from __future__ import annotations

import pytest
from process_groups import group_of

PAGE = "tests/test_docs.py::test_page_prints_shown_output[README.md]"
CASES = "tests/plugins/test_cells_golden.py::test_step_has_golden_values"
RAN: list[int] = []


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/test_conformance.py::test_cell[lif-check_tokens]", "lif"),
        (f"{CASES}[lif_fast_sigmoid]", "lif"),
        (f"{CASES}[gru_reset_before]", "gru_reset_before"),
        ("tests/test_conformance.py::test_sampler[top_k-check_x]", "tests/test_conformance.py"),
        ("tests/layers/test_stack.py::test_x[a::b]", "tests/layers/test_stack.py"),
        ("tests/test_docs.py::test_links_lead_somewhere[README.md]", "tests/test_docs.py"),
        (PAGE, PAGE),
    ],
)
def test_group_of_test(nodeid, group):
    assert group_of(nodeid) == group


@pytest.mark.parametrize("number", range(8))
def test_tests_of_a_file_share_a_process(number, request):
    RAN.append(number)
    selected = [item for item in request.session.items if item.originalname == request.node.originalname]
    assert [item.callspec.params["number"] for item in selected][: len(RAN)] == RAN
