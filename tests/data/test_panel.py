"""Panels: the order of series and times, missing values, and the roles of columns."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data import ColumnRoles, DataTable, make_panel
from zoo.data.panel import default_roles, warn_of_unread_times
from zoo.errors import DataError, UsageError, ZooWarning

NAN = np.nan


def days(*numbers):
    return np.datetime64("2024-05-01") + np.array(numbers, "m8[D]")


def panel(arrays, missing="reject", **roles):
    return make_panel(DataTable.from_arrays(arrays), ColumnRoles(**{"target": ("y",), **roles}), missing)


def test_series_that_alternate_are_put_one_after_another():
    result = panel(
        {"id": ["b", "a", "b", "a"], "t": days(0, 0, 1, 1), "y": [1.0, 10, 2, 20]}, series="id", time="t"
    )
    assert (result.names, result.offsets.tolist()) == (("b", "a"), [0, 2, 4])
    assert result.numbers("y").tolist() == [1, 2, 10, 20]
    assert result.times.tolist() == days(0, 1, 0, 1).astype("M8[us]").tolist()
    assert result.where(2) == "table, row 1"
    assert result.series_of_row.tolist() == [0, 0, 1, 1]


def test_groups_of_series():
    arrays = {"id": list("abab"), "who": ["u", "v", "u", "v"], "y": [1, 2, 3, 4]}
    groups = panel(arrays, series="id", group="who").groups
    assert [groups.text(number) for number in range(2)] == ["u", "v"]
    for owners, sentence in (
        (
            ["u", "v", "w", "v"],
            "row 2, column 'who': found 'w', and series 'a' has the group 'u' before; a seri",
        ),
        (["u", None, "u", None], "table: the group of series 'b' is missing; fill it."),
    ):
        with pytest.raises(DataError) as error:
            panel({**arrays, "who": owners}, series="id", group="who")
        assert sentence in str(error.value)


def test_series_may_be_their_own_groups():
    arrays = {"id": list("abab"), "y": [1, 2, 3, 4]}
    groups = panel(arrays, series="id", group="id").groups
    assert [groups.text(number) for number in range(2)] == ["a", "b"]
    with pytest.raises(UsageError, match="column 'y' is given twice"):
        panel(arrays, series="id", group="y")


def test_numbers_name_series():
    assert panel({"id": [7, 7, 3], "y": [1, 2, 3]}, series="id").names == ("3", "7")


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        ((0, 2, 1), "table, row 2, column 't': the time 2024-05-02 is before 2024-05-03; sort"),
        ((0, 1, 1), "table, row 2, column 't': the time 2024-05-02 is repeated; remove one of"),
    ],
)
def test_times_must_increase(times, sentence):
    with pytest.raises(DataError) as error:
        panel({"t": days(*times), "y": [1, 2, 3]}, time="t")
    assert sentence in str(error.value)
    assert "with `series`." in str(error.value)


@pytest.mark.parametrize("minutes", [15, 30, 60])
@pytest.mark.parametrize("offset", [False, True])
def test_the_hour_that_occurs_twice_at_the_end_of_summer_time(minutes, offset):
    """Local times are an error with advice, and times with an offset increase."""
    zone, start = ZoneInfo("Europe/Berlin"), datetime(2025, 10, 25, 23, tzinfo=timezone.utc)
    local = [(start + timedelta(minutes=minutes * n)).astimezone(zone) for n in range(240 // minutes)]
    times = local if offset else [time.replace(tzinfo=None) for time in local]
    given = {"t": times, "y": np.arange(len(times))}
    if offset:
        assert panel(given, time="t").is_utc
        return
    problem = "is repeated; remove" if minutes == 60 else "is before 2025-10-26 02:.*; sort the rows"
    advice = (
        r"If summer time ends there, write times with their offset from UTC, as in 2025-10-26 02:00\+02:00\.$"
    )
    with pytest.raises(DataError, match=f"the time 2025-10-26 02:00 {problem}.*{advice}"):
        panel(given, time="t")
    later = [times[0] + timedelta(hours=2), times[0]]
    with pytest.raises(
        DataError, match=r"sort the rows by time\. If the file holds several series, name their"
    ):
        panel({"t": later, "y": [1, 2]}, time="t")


def test_missing_values_are_rejected_with_the_line():
    with pytest.raises(DataError, match="table, row 1, column 'y': the value is missing, one of 2 in this"):
        panel({"y": [1, NAN, NAN, 4]})


def test_missing_values_are_filled_forward_within_a_series():
    arrays = {"id": ["a", "b", "a", "b", "a"], "y": [1, 5, NAN, 6, 3], "w": ["u", "v", None, "v", "w"]}
    result = panel(arrays, "forward", series="id", input=("w",))
    assert result.numbers("y").tolist() == [1, 1, 3, 5, 6]
    assert result.columns["w"].values.tolist() == [0, 0, 2, 1, 1]
    with pytest.raises(
        DataError, match="table, row 1, column 'y': the value is missing, and there is none bef"
    ):
        panel({"id": ["a", "b", "b"], "y": [1, NAN, 3]}, "forward", series="id")


def test_missing_values_are_kept_with_mask():
    assert np.isnan(panel({"y": [1, NAN, 3]}, "mask").numbers("y")[1])


def test_series_may_lack_a_target():
    arrays = {"id": list("aabb"), "y": [1, NAN, NAN, NAN], "z": [1, 2, 3, 4]}
    for missing, second in (("mask", NAN), ("forward", 1)):
        values = panel(arrays, missing, series="id").numbers("y")
        np.testing.assert_array_equal(values, [1, second, NAN, NAN])
    with pytest.raises(DataError, match="row 2, column 'y': the value is missing, and there is none before"):
        panel({**arrays, "y": [1, 2, NAN, 4]}, "forward", series="id")


@given(
    series=st.lists(st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=6), mixed=st.booleans()
)
def test_selected_series_are_a_panel_of_their_rows(series, mixed):
    lengths, keeps = (np.array(each) for each in zip(*series, strict=True))
    keeps[0] = True
    names = np.repeat([f"s{number}" for number in range(len(lengths))], lengths)
    names = np.random.default_rng(0).permutation(names) if mixed else names
    y, time = np.arange(len(names)) * 1.5, np.arange(len(names))
    arrays = {"id": names, "y": y, "t": time, "word": np.array(list("abcdefghijklmnopqrstuvwxyz01234"))[time]}
    arrays = {**arrays, "g": [f"g{name}" for name in names], "w": y + 1}
    roles = {"series": "id", "time": "t", "group": "g", "weight": "w", "input": ("word",)}
    kept = np.flatnonzero(keeps[[int(name[1:]) for name in names]])
    whole = panel(arrays, **roles)
    result = whole.select(np.array([keeps[int(name[1:])] for name in whole.names]))
    expected = panel({name: np.asarray(values)[kept] for name, values in arrays.items()}, **roles)
    assert result.names == expected.names
    for name in ("offsets", "ends", "times", "weights"):
        np.testing.assert_array_equal(getattr(result, name), getattr(expected, name))
    for name in ("y", "word"):
        texts = [[each.columns[name].text(row) for row in range(len(each))] for each in (result, expected)]
        assert texts[0] == texts[1]
    assert [result.where(row) for row in range(len(result))] == [
        f"table, row {value / 1.5:.0f}" for value in result.numbers("y")
    ]
    assert len(result.groups) == keeps.sum()


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1.7e308])
def test_infinity_is_an_error(value):
    with pytest.raises(
        DataError, match=rf"row 1, column 'y': found {re.escape(f'{value:g}')}; expected a fin"
    ):
        panel({"y": [1, value, 3]}, "mask")


def test_rows_after_the_last_target_are_future_rows():
    arrays = {"id": list("aaabbb"), "y": [1, 2, NAN, 4, NAN, NAN], "holiday": [0, 1, 0, 1, 1, 0]}
    result = panel(arrays, series="id", known_future=("holiday",))
    assert (result.offsets.tolist(), result.ends.tolist()) == ([0, 3, 6], [2, 4])
    with pytest.raises(DataError, match="row 2, column 'y': the value is missing"):
        panel(arrays, series="id")


def test_median_step_ignores_the_change_of_series():
    result = panel({"id": list("aabb"), "t": [0.0, 2, 100, 102], "y": [1, 2, 3, 4]}, series="id", time="t")
    assert result.step() == 2
    assert result.time_differences().tolist() == [1, 1, 1, 1]
    uneven = panel({"t": days(0, 1, 4, 5), "y": [1, 2, 3, 4]}, time="t")
    assert uneven.time_differences().tolist() == [1, 1, 3, 1]
    assert (result.uneven_share(), uneven.uneven_share()) == (0, 0.25)
    assert (result.step_text(), uneven.step_text()) == ("2", "1 day")
    assert (panel({"y": [1, 2]}).time_differences(), panel({"y": [1, 2]}).uneven_share()) == (None, 0)


def test_calendar_months_are_even():
    months = (np.datetime64("2023-01") + np.arange(30)).astype("M8[D]")
    result = panel({"t": months, "y": np.arange(30.0)}, time="t")
    assert (result.uneven_share(), result.step_text()) == (0, "31 days")
    minutes = np.datetime64("2024-01-01") + np.arange(4).astype("m8[m]") * 90
    assert panel({"t": minutes, "y": np.arange(4.0)}, time="t").step_text() == "90 min"


@pytest.mark.parametrize(
    ("arrays", "roles", "error", "sentence"),
    [
        (
            {"y": ["a", "b"]},
            {},
            DataError,
            "table: y is a column of text values (2 values); a target needs num",
        ),
        (
            {"y": days(0, 1)},
            {},
            DataError,
            "table: y is a column of times; a target needs numeric values: this t",
        ),
        ({"y": [1, 2]}, {"input": ("z",)}, DataError, "table has no column 'z'; its columns are y (number)."),
        ({"y": [1, 2]}, {"input": ("y",)}, UsageError, "column 'y' is given twice, as target, input"),
        ({"y": [1, 2], "t": days(0, 1)}, {"input": ("t",)}, DataError, "column 't' holds times; give it as"),
        ({"y": [1, 2], "t": ["x", "z"]}, {"time": "t"}, DataError, "found 'x'; expected a time such as"),
        (
            {"y": [1, 2, 3], "t": ["2024-05-01", "2024-05-02", "2024-05-32"]},
            {"time": "t"},
            DataError,
            "row 2, column 't': found '2024-05-32'; expected a time such as 2024-05-01 13:00. Correct",
        ),
        (
            {"y": [1, 2], "t": ["31.12.2023 23:58", "01.01.2024 00:00"]},
            {"time": "t"},
            DataError,
            "which looks like a date, but is not ISO 8601; write it as 2024-05-01 13:00.",
        ),
        (
            {"y": [1, 2], "t": [1, NAN]},
            {"time": "t"},
            DataError,
            "row 1, column 't': the time is missing; fill",
        ),
        (
            {"y": [1, 2], "i": ["x", None]},
            {"series": "i"},
            DataError,
            "the name of the series is missing; fill it",
        ),
        (
            {"y": [1, 2], "x": ["1", "b"]},
            {"input": ("x",)},
            DataError,
            "row 1, column 'x': found 'b'; expect",
        ),
        ({"y": np.zeros(0)}, {}, DataError, "table has no rows."),
    ],
)
def test_invalid_columns_are_errors(arrays, roles, error, sentence):
    with pytest.raises(error) as raised:
        panel(arrays, **roles)
    assert sentence in str(raised.value)


def test_default_inputs_are_the_columns_that_can_be_used():
    table = DataTable.from_arrays(
        {
            "t": days(*range(40)),
            "y": np.arange(40.0),
            "x": np.arange(40.0),
            "color": ["red", "blue"] * 20,
            "constant": np.ones(40),
            "empty": np.full(40, NAN),
            "note": [f"note {n}" for n in range(40)],
        }
    )
    roles, left_out = default_roles(table, ColumnRoles(("y",)), choose_inputs=True)
    assert (roles.time, roles.input) == ("t", ("x", "color"))
    reason = "40 different text values; to include it, list all inputs with `input`"
    assert left_out == ["constant (constant)", "empty (empty)", f"note ({reason})"]
    assert default_roles(table, ColumnRoles(("y",)), choose_inputs=False)[0].input == ()


def test_bad_time_in_the_only_column_of_times_is_an_error():
    arrays = {"t": ["2024-05-01", "2024-05-02", "05/03/2024", "2024-05-04"], "y": [1.0, 2, 3, 4]}
    for choose_inputs in (True, False):
        with pytest.raises(
            DataError, match=r"row 2, column 't': found '05/03/2024', which looks like a date"
        ):
            default_roles(DataTable.from_arrays(arrays), ColumnRoles(("y",)), choose_inputs)
    other = DataTable.from_arrays({**arrays, "start": days(0, 1, 2, 3)})
    assert default_roles(other, ColumnRoles(("y",)), True)[0].time == "start"


@pytest.mark.parametrize("choose_inputs", [True, False])
@pytest.mark.parametrize("count", [2, 3])
def test_several_columns_of_times_are_left_out_with_a_warning(count, choose_inputs):
    """A date of birth in a table with times is no reason to read no times silently."""
    times = {f"t{number}": days(0, 1, 2, 3) for number in range(count)}
    table = DataTable.from_arrays({**times, "x": np.arange(4.0) % 3, "y": np.arange(4.0)})
    roles, left_out = default_roles(table, ColumnRoles(("y",)), choose_inputs)
    assert roles.time is None
    assert left_out == [f"{name} (one of several columns of times; name one with `time`)" for name in times]
    with pytest.warns(ZooWarning, match=f"table has several columns of times: {', '.join(times)}. The order"):
        warn_of_unread_times("table", left_out)
    roles, left_out = default_roles(table, ColumnRoles(("y",), time="t1"), choose_inputs)
    assert (roles.time, "several" in " ".join(left_out)) == ("t1", False)


OTHER_DATES = [
    "31.12.2023 23:58",
    "12/31/2023",
    "2023/12/31",
    "31-12-23",
    "2023-1-5",
    "2024-W18-3",
    "2024-W18",
]
OTHER_TIMES = [
    *("2024-05-01 1:00 PM", "2024-05-01 13:00 CET", "2024-05-01T13:00:05.5 Europe/Berlin"),
    *("2024-05-01+02:00", "2024-05-01Z"),
]


@pytest.mark.parametrize("date", [*OTHER_DATES, *OTHER_TIMES])
def test_dates_in_another_format_are_left_out_with_the_reason(date):
    table = DataTable.from_arrays(
        {"t": [date] * 4, "y": np.arange(4.0), "version": ["1.2.3"] * 2 + ["1.3.1"] * 2}
    )
    for choose_inputs in (True, False):
        roles, left_out = default_roles(table, ColumnRoles(("y",)), choose_inputs)
        assert left_out == [
            "t (looks like dates, but is not ISO 8601, so the order of the rows is not checked; write "
            "2024-05-01 13:00)"
        ]
        assert roles.input == (("version",) if choose_inputs else ())


@pytest.mark.parametrize(
    "name", ["2024-05 report", "2024-05-01-A", "1234-56-78 13", "2024-WX", "sensor 2024-05"]
)
def test_names_that_begin_like_dates_are_categories(name):
    table = DataTable.from_arrays({"t": [name, "other"] * 2, "y": np.arange(4.0)})
    roles, left_out = default_roles(table, ColumnRoles(("y",)), True)
    assert (roles.input, left_out) == (("t",), [])
