"""The groups of tests that share a process."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from process_groups import GroupScheduling, group_of, reports_to_send

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


class Process:
    """A process of the scheduler, which keeps the tests that it gets."""

    shutting_down = False
    gateway = SimpleNamespace(id="gw0")

    def __init__(self):
        self.indices = []

    def send_runtest_some(self, indices):
        self.indices += indices

    def shutdown(self):
        self.shutting_down = True


@given(groups=st.lists(st.integers(0, 9), min_size=1, max_size=60), random=st.randoms(use_true_random=False))
def test_every_test_runs_once_and_groups_stay_together(groups, random):
    option = SimpleNamespace(loadscopereorder=False)
    scheduler = GroupScheduling(SimpleNamespace(getvalue=lambda _name: ["popen"] * 2, option=option))
    processes = Process(), Process()
    tests = [f"tests/test_{group}.py::test_{number}" for number, group in enumerate(groups)]
    for process in processes:
        scheduler.add_node(process)
    for process in processes:
        scheduler.add_node_collection(process, tests)
    scheduler.schedule()
    ran = {process: [] for process in processes}
    while waiting := [process for process in processes if len(process.indices) > len(ran[process])]:
        assert scheduler.has_pending
        process = random.choice(waiting)
        index = process.indices[len(ran[process])]
        ran[process].append(groups[index])
        scheduler.mark_test_complete(process, index)
    assert not scheduler.has_pending
    assert scheduler.tests_finished
    assert all(process.shutting_down for process in processes)
    assert sorted(index for process in processes for index in process.indices) == list(range(len(tests)))
    assert not set(ran[processes[0]]) & set(ran[processes[1]])
    order = list(dict.fromkeys(groups))
    for each in ran.values():
        assert each == sorted(each, key=order.index)


PHASES = ("setup", "call", "teardown")


@given(
    st.lists(
        st.tuples(st.sampled_from(["passed", "failed", "skipped"]), st.sampled_from([0.0, 0.1, 0.2])),
        min_size=1,
        max_size=3,
    )
)
def test_main_process_gets_all_results_and_slow_phases(results):
    reports = [
        pytest.TestReport("test_x", ("file", 1, "test_x"), {}, outcome, None, phase, duration=duration)
        for phase, (outcome, duration) in zip(PHASES, results, strict=False)
    ]
    sent = list(reports_to_send(reports))
    for report in reports:
        is_fast_pass = (report.outcome, report.duration > 0.1) == ("passed", False)
        assert (report in sent) == (report.when == "call" or not is_fast_pass)
    assert sent == [each for each in reports if each in sent]
