"""Check in a child process, so that a crash of a kernel loses no results."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict

from zoo.arguments import as_integer
from zoo.call_stack import with_large_stack
from zoo.child_process import ChildProcess, Message, connect_to_parent
from zoo.errors import UsageError, ZooError
from zoo.garbage_collection import reduce_collections
from zoo.processes import python_environment, wait_or_kill
from zoo.registry import load_plugin_file
from zoo.testing.report import Outcome, Report, Status, law_of, name_of
from zoo.testing.settings import EXAMPLES_VARIABLE
from zoo.testing.suites import parse_spec

# Messages of the child, one JSON object a line with one key: first `component`, with its name and laws, or
# `refused`, with the reason; then an `outcome` for each law; at the end `done`.
Events = list[Message]

# Check every index (such kernels have their own cache entries), and print tracebacks of crashes.
_DEBUG_ENVIRONMENT = {"NUMBA_BOUNDSCHECK": "1", "PYTHONFAULTHANDLER": "1"}
LOADING = ("loading", "The file or plugin can be loaded.")
MAX_STDERR = 600  # characters of the standard error of the child
CRASH_MEANING = "Usually an index far outside an array, in code that Numba's bounds check does not see."
TIMEOUT_MEANING = (
    "A first compilation is slow: check again with a larger --timeout. Otherwise look for a loop that never "
    "ends."
)


def check_in_child(
    spec: str,
    *,
    timeout: float,
    plugin: str | None = None,
    examples: int | None = None,
    options: Sequence[str] = (),
) -> Report:
    """Check a component in a child process, with bounds checks and a time limit.

    A segmentation fault or an abort breaks the law that was tried. A law that exceeds the time limit counts
    as not checked. The report contains the results before it.

    Args:
        spec: A cell's name, ``"FILE.py:Class"``, ``"optimizer:NAME"``, ``"loss:NAME"``, ``"task:NAME"`` and
            so on.
        timeout: Seconds for all laws together. On Linux, time in which the process waits for a processor does
            not count, so that a busy machine changes no result.
        plugin: A plugin file to load first.
        examples: Examples for each law of cells and each kind of input, at least 1; None for
            ``ZOO_TEST_EXAMPLES``, or 5.
        options: Options of the component as texts, ``NAME=VALUE``; the others keep their defaults.

    Raises:
        UsageError: if the component is unknown, its file cannot be imported, the testing extra is not
            installed, the number of examples is below 1, or an option is unknown or invalid.
    """
    if examples is not None:
        as_integer(examples, "check_in_child: examples", 1)
    number = {} if examples is None else {EXAMPLES_VARIABLE: str(examples)}
    with ChildProcess(
        "from zoo.testing.child import main; main()",
        *(spec, plugin or "", *options),
        environment=python_environment() | _DEBUG_ENVIRONMENT | number,
        is_batch=True,
    ) as child:
        is_in_time = wait_or_kill(child.process, timeout)
        ended: tuple[Status, str] = (
            (
                "failed",
                f"found the process ended with {child.exit_status()}, expected an answer. {CRASH_MEANING}",
            )
            if is_in_time
            else (
                "not checked",
                f"found the process still busy after {timeout:g} s, and ended it. {TIMEOUT_MEANING}",
            )
        )
        return _report(spec, child.messages(), ended, child.stderr())


@with_large_stack
def main() -> None:
    """Check in the child the component that ``sys.argv`` names, and send events to the parent."""
    reduce_collections()
    _, send = connect_to_parent()  # the output of kernels goes to standard error
    spec, plugin, *options = sys.argv[1:]
    try:
        if plugin:
            load_plugin_file(plugin)
        suite, name = parse_spec(spec)
        checks, component = suite.checks(), suite.with_options(suite.resolve(name), options)
    except ZooError as error:
        send({"refused": str(error)})
        return
    label = " with ".join(filter(None, [component.label(), ", ".join(options)]))
    send({"component": (label, [(name_of(check), law_of(check)) for check in checks])})
    suite.run(component, None, "collect", callback=lambda outcome: send({"outcome": asdict(outcome)}))
    send({"done": True})


def _report(spec: str, events: Events, ended: tuple[Status, str], stderr: str) -> Report:
    values = {key: value for event in events for key, value in event.items()}
    if "refused" in values:
        raise UsageError(values["refused"])
    component, laws = values.get("component", (spec, [LOADING]))
    outcomes = [Outcome(**event["outcome"]) for event in events if "outcome" in event]
    if "done" not in values:
        outcomes += _unfinished(component, laws[len(outcomes) :], ended, stderr)
    return Report(component, tuple(outcomes))


def _unfinished(
    component: str, laws: list[tuple[str, str]], ended: tuple[Status, str], stderr: str
) -> list[Outcome]:
    """The outcomes of the law during which the process ended, and of the laws after it."""
    (check, law), *rest = laws or [LOADING]
    status, problem = ended
    message = f"{component}: {problem}{_stderr_excerpt(stderr)}"
    skipped = f"not tried, since the process ended during {check}"
    return [
        Outcome(check, law, status, message),
        *(Outcome(name, text, "skipped", skipped) for name, text in rest),
    ]


def _stderr_excerpt(stderr: str) -> str:
    """The start of the traceback of a crash, or the end of the standard error."""
    _, crash, after = stderr.rpartition("Fatal Python error")
    shown = f"{crash}{after[:MAX_STDERR]}" if crash else stderr[-MAX_STDERR:]
    return f" It last wrote:\n{shown.strip()}" if shown.strip() else ""
