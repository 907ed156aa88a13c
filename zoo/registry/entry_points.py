"""Find the installed plugins, and those that ``ZOO_PLUGINS`` selects, without importing them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from zoo.base.names import did_you_mean
from zoo.installation import DISTRIBUTION
from zoo.registry.hookspecs import KINDS, plural
from zoo.registry.registry import Source

if TYPE_CHECKING:
    from importlib.metadata import Distribution

GROUP = "zoo"

_SHIPPED_PACKAGES = {f"zoo_{plural(kind)}": kind for kind in KINDS}

Status = Literal["loaded", "failed", "skipped"]


@dataclass(frozen=True)
class PluginRecord:
    """The status of a plugin.

    Args:
        name: Its entry point, or the path of its file.
        distribution: The installed distribution that contains it; empty for a file.
        version: Version of the distribution.
        module: The module that the entry point names.
        status: ``loaded``, ``failed``, or ``skipped`` because ``ZOO_PLUGINS`` does not name it.
        error: The reason why it is not loaded.
        provides: The components it registered, ``("cell vanilla", ...)``.
        cause: The exception behind ``error``, for a traceback.
    """

    name: str
    distribution: str
    version: str
    module: str
    status: Status
    error: str = ""
    provides: tuple[str, ...] = ()
    cause: BaseException | None = None

    def __str__(self) -> str:
        return str(Source(self.name, self.distribution, self.version))


@dataclass(frozen=True)
class EntryPoint:
    """An entry point of an installed distribution, or a plugin file.

    Args:
        source: Plugin, distribution and version.
        target: The module that it names.
        error: The reason why it cannot be loaded; empty if it can.
    """

    source: Source
    target: str
    error: str = ""

    @property
    def shipped(self) -> bool:
        """Whether it is part of zoo."""
        return normalize_name(self.source.distribution) == DISTRIBUTION

    @property
    def component(self) -> tuple[str, str] | None:
        """Kind and name of the component of a shipped plugin, ``zoo_cells.gated.gru``; None for others.

        A shipped plugin has one component, and its module has the name of the component.
        """
        modules = self.target.split(".")
        kind = _SHIPPED_PACKAGES.get(modules[0])
        return (kind, modules[-1]) if self.shipped and kind else None

    @property
    def names(self) -> frozenset[str]:
        """The names by which ``ZOO_PLUGINS`` selects it."""
        return frozenset({normalize_name(self.source.plugin), normalize_name(self.source.distribution)})

    def is_selected(self, selected: frozenset[str] | None) -> bool:
        """Whether it is shipped or selected; None selects all, see :func:`selected_plugins`."""
        return selected is None or self.shipped or not selected.isdisjoint(self.names)

    def record(
        self,
        status: Status,
        error: str = "",
        provides: tuple[str, ...] = (),
        cause: BaseException | None = None,
    ) -> PluginRecord:
        """The record of its status."""
        source = self.source
        return PluginRecord(
            source.plugin, source.distribution, source.version, self.target, status, error, provides, cause
        )


def normalize_name(name: str) -> str:
    """Normalize a name as package indexes do: ``Zoo_Leaky`` is ``zoo-leaky``."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def installed_entry_points() -> tuple[EntryPoint, ...]:
    """The entry points of all installed distributions: those of zoo first, then by distribution and name.

    Each (distribution, entry point) appears once, also where a distribution is found twice on ``sys.path``.
    """
    from importlib.metadata import distributions

    points = {point for distribution in distributions() for point in _entry_points(distribution)}
    return tuple(sorted(points, key=_sort_key))


def _sort_key(point: EntryPoint) -> tuple[bool, str, str, str]:
    return not point.shipped, normalize_name(point.source.distribution), point.source.plugin, point.target


def _entry_points(distribution: Distribution) -> tuple[EntryPoint, ...]:
    """The entry points of a distribution; a damaged one gets an entry point with an error."""
    try:
        if f"[{GROUP}]" not in (distribution.read_text("entry_points.txt") or ""):
            return ()  # nearly all; reading the metadata of every distribution would take 0.1 s
        return _read_entry_points(distribution)
    except Exception as error:
        message = f"its installed metadata cannot be read ({type(error).__name__}: {error}); install it again"
        return (EntryPoint(Source("entry_points.txt", _label(distribution)), "", message),)


def _read_entry_points(distribution: Distribution) -> tuple[EntryPoint, ...]:
    name = distribution.metadata["Name"]
    if not name:
        raise ValueError("it has no name")
    first = type(distribution).from_name(name)  # not an older copy further down sys.path
    version = first.version  # each access parses METADATA; 126 of them, for the plugins of zoo, took 0.06 s
    points = first.entry_points.select(group=GROUP)
    return tuple(EntryPoint(Source(point.name, name, version), point.value) for point in points)


def _label(distribution: Distribution) -> str:
    """Its name; its folder if METADATA is missing, as after an interrupted uninstall."""
    with contextlib.suppress(Exception):
        if name := distribution.metadata["Name"]:
            return str(name)
    return f"a damaged distribution in {distribution.locate_file('')}"


def selected_plugins(environ: Mapping[str, str]) -> frozenset[str] | None:
    """The plugins that ``ZOO_PLUGINS=a,b`` names; None, which selects all, if it is not set.

    The shipped ones always load.
    """
    text = environ.get("ZOO_PLUGINS")
    return None if text is None else frozenset(filter(None, map(normalize_name, text.split(","))))


def unknown_selected(selected: frozenset[str], points: Iterable[EntryPoint]) -> tuple[PluginRecord, ...]:
    """A failed record for each name in ``ZOO_PLUGINS`` that is not an installed plugin."""
    known = frozenset().union(*(point.names for point in points))
    return tuple(
        EntryPoint(Source(name), "").record(
            "failed",
            f"ZOO_PLUGINS names {name!r}, but no such plugin is installed.{did_you_mean(name, known)}",
        )
        for name in sorted(selected - known)
    )
