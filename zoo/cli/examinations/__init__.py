"""The examinations of ``zoo doctor``: each looks at one thing and says what it found; one row each."""

from __future__ import annotations

from collections.abc import Callable

from zoo.cli.examinations import compiler, surroundings
from zoo.cli.examinations.finding import Finding

EXAMINATIONS: tuple[Callable[[], Finding], ...] = (
    surroundings.about_zoo,
    surroundings.about_python,
    surroundings.about_packages,
    surroundings.about_system,
    compiler.processor,
    compiler.vectors,
    surroundings.about_threads,
    compiler.compiler,
    surroundings.about_cache,
    surroundings.about_environment,
    surroundings.about_plugins,
)


def examine() -> list[Finding]:
    """Everything, in order."""
    return [look() for look in EXAMINATIONS]
