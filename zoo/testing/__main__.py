"""``python -m zoo.testing SPEC [--json] [--plugin FILE.py]`` checks one component; ``child.py`` starts it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from zoo.child_process import connect_to_parent
from zoo.errors import ZooError
from zoo.registry import load_plugin_file
from zoo.testing.report import law_of, name_of, run_checks
from zoo.testing.suites import parse_spec

Send = Callable[[str, Any], None]


def main() -> int:
    """Check the component; return 0 if all laws hold, 1 if one is broken, 2 if the component is unknown."""
    parser = argparse.ArgumentParser(prog="python -m zoo.testing", description="Check a component.")
    parser.add_argument("spec", help="a cell, FILE.py:Class, optimizer:NAME, sampler:NAME or task:NAME")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument("--plugin", help="plugin file to load first")
    arguments = parser.parse_args()
    try:
        return _check(arguments.spec, arguments.plugin, _line_writer() if arguments.json else _discard)
    except ZooError as error:
        sys.stderr.write(f"{error}\n")
        return 2


def _check(spec: str, plugin: str | None, send: Send) -> int:
    try:
        if plugin:
            load_plugin_file(plugin)
        suite, name = parse_spec(spec)
        checks, member = suite.checks(), suite.resolve(name)
    except ZooError as error:
        send("refused", str(error))
        raise
    send("member", (member.label(), [(name_of(check), law_of(check)) for check in checks]))
    report = run_checks(
        member, checks, on_fail="collect", callback=lambda outcome: send("outcome", asdict(outcome))
    )
    send("done", True)
    sys.stdout.write(f"{report}\n")
    return 0 if report.ok else 1


def _line_writer() -> Send:
    """Write events to the parent; the output of kernels goes to standard error."""
    _, send = connect_to_parent()
    return lambda what, value: send({what: value})


def _discard(what: str, value: Any) -> None:
    """Ignore an event."""


if __name__ == "__main__":
    sys.exit(main())
