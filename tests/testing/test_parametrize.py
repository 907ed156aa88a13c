"""The pytest door of the conformance kit, and what it needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import zoo
from zoo.errors import UnknownNameError, UsageError
from zoo.testing import (
    CELL_CHECKS,
    LOSS_CHECKS,
    OPTIMIZER_CHECKS,
    SAMPLER_CHECKS,
    check_cell,
    check_optimizer,
    check_sampler,
)
from zoo.testing.report import name_of


def cases(mark):
    """Names of the arguments, and the cases by id."""
    names, values = mark.mark.args
    return names, {value.id: value for value in values}


def test_one_test_for_each_cell_and_law():
    names, cases_by_id = cases(zoo.testing.parametrize_cells("vanilla"))
    assert names == ("cell", "check")
    assert list(cases_by_id) == [f"vanilla-{name_of(check)}" for check in CELL_CHECKS]
    cell, check = cases_by_id["vanilla-check_shapes"].values
    assert (cell, name_of(check)) == (zoo.get_cell("vanilla"), "check_shapes")


def test_no_arguments_mean_every_registered_member():
    for kind, checks, parametrize, names in (
        ("cell", CELL_CHECKS, zoo.testing.parametrize_cells, zoo.list_cells()),
        ("loss", LOSS_CHECKS, zoo.testing.parametrize_losses, zoo.list_losses()),
        ("optimizer", OPTIMIZER_CHECKS, zoo.testing.parametrize_optimizers, zoo.list_optimizers()),
        ("sampler", SAMPLER_CHECKS, zoo.testing.parametrize_samplers, zoo.list_samplers()),
    ):
        arguments, cases_by_id = cases(parametrize())
        assert arguments == (kind, "check")
        assert len(cases_by_id) == len(names) * len(checks) > 0
        assert {value.values[0].name for value in cases_by_id.values()} == set(names)


def test_ids_contain_non_default_options():
    _, cases_by_id = cases(zoo.testing.parametrize_samplers(zoo.get_sampler("top_k", k=3), "top_k"))
    assert {name.partition("-")[0] for name in cases_by_id} == {"top_k(k=3)", "top_k"}


def test_expected_failures_are_strict():
    _, cases_by_id = cases(zoo.testing.parametrize_cells("vanilla", expected_failures={"check_nan": "a gap"}))
    (mark,) = cases_by_id["vanilla-check_nan"].marks
    assert (mark.name, mark.kwargs) == ("xfail", {"reason": "a gap", "strict": True})
    assert not cases_by_id["vanilla-check_shapes"].marks
    with pytest.raises(UsageError, match="Did you mean 'check_nan'"):
        zoo.testing.parametrize_cells("vanilla", expected_failures={"check_nans": "typo"})


def test_invalid_components_raise():
    with pytest.raises(UnknownNameError, match="vanila"):
        zoo.testing.parametrize_cells("vanila")
    with pytest.raises(UnknownNameError, match="admm"):
        check_optimizer("admm")
    with pytest.raises(UsageError, match="is not a sampler"):
        check_sampler(zoo.get_optimizer("adam"))
    with pytest.raises(UsageError, match="expected_failures names 'check_me'"):
        check_cell("vanilla", expected_failures={"check_me": "typo"})


def test_names_classes_and_instances_are_welcome():
    adam = zoo.get_optimizer("adam")
    excuses = {name_of(OPTIMIZER_CHECKS[0]): "not so"}
    for optimizer in ("adam", type(adam), adam):
        report = check_optimizer(optimizer, on_fail="collect", expected_failures=excuses)
        assert report.component == "optimizer 'adam'"
        assert report.failures == report.outcomes[:1], "strict: the first law holds, and nothing rests on it"


@pytest.mark.parametrize(("module", "door"), [("hypothesis", "check_cell"), ("pytest", "parametrize_cells")])
def test_missing_testing_extra_raises_with_install_command(monkeypatch, module, door):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError) as caught:
        getattr(zoo.testing, door)("vanilla")
    assert str(caught.value) == (
        f"zoo.testing needs {module}; pip install 'recurrent-zoo[testing]' brings it."
    )


def test_python_without_docstrings_is_an_error():
    code = "import zoo.testing; zoo.testing.check_cell('vanilla')"
    done = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "zoo.errors.UsageError: zoo.testing needs docstrings, which python -OO removes; run"
    )


def test_importing_testing_imports_no_compiler_or_test_tools():
    code = (
        "import sys, zoo.testing; zoo.testing.Report, zoo.testing.check_cell, zoo.testing.check_in_child\n"
        "print([name for name in ('numba', 'numpy', 'hypothesis', 'pytest') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_exists():
    assert sorted(zoo.testing.__all__) == sorted(dir(zoo.testing))
    for name in zoo.testing.__all__:
        assert getattr(zoo.testing, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        zoo.testing.nothing  # noqa: B018
