"""The function over a whole sequence in C, for models whose layers read it from both ends."""

from __future__ import annotations

from collections.abc import Iterator

from zoo.export.c_source import c_type
from zoo.export.model_code import ModelCode

_COMMENT = """\
/* The outputs of a sequence of `count` steps: `count` rows {into} in, `count` rows of {upper}_OUTPUTS numbers
 * out. `work` is memory for count * {upper}_WORK numbers, which need no values. */"""


class CSequence:
    """The function ``sequence``, which works in the memory of its caller.

    Args:
        code: The functions and statements of a bidirectional model.
        prefix: Prefix of all public names.
    """

    def __init__(self, code: ModelCode, prefix: str) -> None:
        assert code.sequence is not None  # the caller asks for it
        self.code, self.model, self.function = code, code.model, code.sequence
        self.prefix, self.upper = prefix, prefix.upper()

    def header_lines(self) -> Iterator[str]:
        """The lines of the header."""
        into = "of a token" if self.model.tokens else f"of {self.upper}_INPUTS features"
        yield f"#define {self.upper}_WORK {self.function.work} /* numbers of memory for each step */"
        yield ""
        yield from _COMMENT.format(upper=self.upper, into=into).split("\n")
        yield f"{self._signature()};"
        yield ""

    def _signature(self) -> str:
        real = c_type(self.model.dtype)
        first = "const int *tokens" if self.model.tokens else f"const {real} *x"
        aux = (f"const {real} *{name}" for name in self.code.aux.values())
        arguments = [first, *aux, "size_t count", f"{real} *work", f"{real} *outputs"]
        return f"void {self.prefix}_sequence({', '.join(arguments)})"

    def source_lines(self) -> Iterator[str]:
        """The lines of the source."""
        yield from (self._signature(), "{", f"    {self.prefix}_state memory, *const state = &memory;")
        arrays = self.code.syntax.sequence_arrays(self.function.arrays, self.model.dtype)
        yield from (f"    {line}" for line in arrays)
        yield f"    {self.prefix}_init(state);"
        yield from (f"    {line}" for line in self.function.lines)
        yield "}"
