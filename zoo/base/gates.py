"""The gates of a cell under names that are the same for all cells, for traces and plots."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

from zoo.arguments import short_repr
from zoo.errors import DefinitionError

COMPLEMENT = "1 - "


class GateSource(NamedTuple):
    """The value of ``step`` that is a gate.

    Args:
        value: Its name in traces.
        is_complement: Whether the gate is ``1 - value``.
    """

    value: str
    is_complement: bool


@dataclass(frozen=True)
class Gates:
    """The values of ``step`` that are the gates of a cell: ``gates = zoo.Gates(forget_gate="sigmoid_f")``.

    Papers give one gate many names, and one name to many gates. These names mean the same quantity in every
    cell, after the activation: the factor itself, from 0 to 1. Traces offer a gate under its name here and
    under its name in ``step``.

    Args:
        input_gate: Factor of the candidate.
        forget_gate: Factor of the old state: 1 keeps it. Where the factor is ``1 - z``, write ``"1 - z"``.
        output_gate: Factor of the output.
        reset_gate: Factor of the old state within the candidate.
        update_gate: The gate that the paper calls so, whether it multiplies the old state or the candidate.
        candidate: The value that the input gate multiplies; any range.

    Raises:
        DefinitionError: if one is not a string.
    """

    input_gate: str = ""
    forget_gate: str = ""
    output_gate: str = ""
    reset_gate: str = ""
    update_gate: str = ""
    candidate: str = ""

    def __post_init__(self) -> None:
        """Check that each value is a name."""
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, str):
                raise DefinitionError(
                    f"zoo.Gates: {field.name} is {short_repr(value)}; expected the name of a value of step, "
                    f'or "1 - name".'
                )

    def sources(self) -> dict[str, GateSource]:
        """The value of each gate that the cell has."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: GateSource(value.removeprefix(COMPLEMENT), value.startswith(COMPLEMENT))
            for name, value in given.items()
            if value
        }
