"""Runs the code of a documentation page and compares what it prints with what the page shows.

    python tests/support/docs_runner.py PAGE.md          run it, say where it differs
    python tests/support/docs_runner.py --write PAGE.md  run it, write what it prints into the page

docs/contributing.md explains the conventions. The page runs in this process: start one for each page.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib.util
import io
import linecache
import os
import re
import shlex
import subprocess
import sys
import tempfile
import traceback
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import command_server

RUN = frozenset({"python", "console"})
SHELL = frozenset({"sh", "bash", "shell"})  # looks as if it ran, so it has to say why it does not
SHOWN = frozenset({"output", "text", "toml", "json", "bibtex"})
FLAGS = {"python": {"no-run"}, "console": {"no-run", "fails"}, **{name: {"no-run"} for name in SHELL}}

NEEDS = "needs="
PLAIN_PYTHON = "<!-- plain python -->"  # no other test compiles the kernels of the blocks below

_FENCE = re.compile(r"(?P<ticks>```+)(?P<info>.*)")
_REASON = re.compile(r"<!-- not run: (?P<reason>\S.*) -->")
PLAIN = {
    "COLUMNS": "100",
    "NO_COLOR": "1",
    "ZOO_COMPILE_MESSAGE": "0",
    "PYTHONUTF8": "1",
    "ZOO_TEST_EXAMPLES": "2",  # as in test_conformance.py: with 5, `zoo check` takes twice as long
}  # what a command prints must not depend on who runs it
_ANY_LINES = "(?:.*\n)*?"
_TIMEOUT = 300  # seconds, for one command


class PageError(Exception):
    """A page is not well formed, or does not do what it says."""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Args:
        line: Line of its opening fence, from 1.
        language: First word of the info string.
        flags: The other words.
        text: What it holds.
        above: The line above the fence, where a reason for not running it stands.
        output: The ``output`` block right after it, if there is one.
    """

    line: int
    language: str
    flags: tuple[str, ...]
    text: str
    above: str = ""
    output: Block | None = None

    @property
    def runs(self) -> bool:
        """Whether it is executed: not without the packages it needs."""
        return self.language in RUN and "no-run" not in self.flags and all(map(_is_there, self.needs))

    @property
    def needs(self) -> tuple[str, ...]:
        """The packages beyond those of zoo that it needs."""
        return tuple(flag.removeprefix(NEEDS) for flag in self.flags if flag.startswith(NEEDS))

    @property
    def reason(self) -> str:
        """Why it is not run; empty if the page does not say."""
        match = _REASON.fullmatch(self.above)
        return match["reason"] if match else ""

    @property
    def file(self) -> str:
        """The file it is also added to; empty for none."""
        return next((flag.removeprefix("file=") for flag in self.flags if flag.startswith("file=")), "")

    @property
    def end(self) -> int:
        """Line of its closing fence."""
        return self.line + self.text.count("\n") + 1


def read_page(text: str) -> list[Block]:
    """The fenced blocks of a page, outputs joined to what prints them.

    Raises:
        PageError: naming the line, for a fence that is indented or never closed, an unknown language or flag,
            a block that is neither run nor excused, or an output that belongs to nothing.
    """
    lines = text.splitlines()
    results: list[Block] = []
    for block in _blocks(lines):
        _check(block)
        if block.language != "output":
            results.append(block)
        elif (
            results
            and results[-1].language == "python"
            and not "".join(lines[results[-1].end : block.line - 1]).strip()
        ):
            results[-1] = replace(results[-1], output=block)
        else:
            raise PageError(
                f"line {block.line}: an output block must come right after the python block that prints it"
            )
    return results


def _blocks(lines: list[str]) -> Iterator[Block]:
    number = 0
    while number < len(lines):
        start, opening = number, _FENCE.fullmatch(lines[number])
        number += 1
        if opening is None:
            if lines[start].lstrip().startswith(("```", "~~~")):
                raise PageError(f"line {start + 1}: fences are ``` at the beginning of a line")
            continue
        while number < len(lines) and lines[number].rstrip() != opening["ticks"]:
            number += 1
        if number == len(lines):
            raise PageError(f"line {start + 1}: this block is never closed")
        language, *flags = opening["info"].split() or [""]
        text = "".join(line + "\n" for line in lines[start + 1 : number])
        yield Block(start + 1, language, tuple(flags), text, lines[start - 1] if start else "")
        number += 1


def _is_there(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _check(block: Block) -> None:
    known = RUN | SHELL | SHOWN
    values = {"python": ("file=", NEEDS), "console": (NEEDS,)}.get(block.language, ())
    flags = [flag for flag in block.flags if not flag.startswith(values)]
    if block.language not in known:
        problem = f"language {block.language!r} is unknown; expected one of {', '.join(sorted(known))}"
    elif unknown := sorted(set(flags) - FLAGS.get(block.language, set())):
        problem = f"a {block.language} block has no flag {unknown[0]!r}"
    elif block.language in SHELL and "no-run" not in flags:
        problem = (
            f"{block.language} blocks are never run; make it a console block, or add no-run and the reason"
        )
    elif "no-run" in flags and not block.reason:
        problem = "a no-run block needs `<!-- not run: reason -->` on the line above it"
    else:
        return
    raise PageError(f"line {block.line}: {problem}")


def matches(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed.

    ``...`` in a line stands for any text, on a line of its own for any lines, also none. ``... s`` stands for
    a duration in any unit, because the unit depends on the machine. Blanks at line ends and empty lines
    around do not count.
    """
    lines = (_ANY_LINES if line == "..." else _pattern(line) for line in _tidy(shown).splitlines())
    return re.fullmatch("".join(lines), _tidy(printed) + "\n" * bool(_tidy(printed))) is not None


def _pattern(line: str) -> str:
    texts = {"...": ".*?", "... s": ".*? (?:s|min|h)"}
    parts = re.split(r"(\.\.\. s\b|\.\.\.)", line)
    return "".join(texts.get(each, re.escape(each)) for each in parts) + "\n"


def _tidy(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines())


def commands(block: Block) -> Iterator[tuple[int, str, str]]:
    """Line, command and shown output of each ``$`` in a console block; a final backslash continues a command.

    Raises:
        PageError: if the block starts with something else.
    """
    lines = block.text.splitlines()
    if not lines or not lines[0].startswith("$ "):
        raise PageError(f"line {block.line}: a console block starts with a command, `$ zoo ...`")
    number = 0
    while number < len(lines):
        start = number
        while lines[number].endswith("\\") and number + 1 < len(lines):
            number += 1
        number = first = number + 1
        while number < len(lines) and not lines[number].startswith("$ "):
            number += 1
        shown = "".join(line + "\n" for line in lines[first:number])
        yield block.line + 1 + start, "\n".join(lines[start:first]).removeprefix("$ "), shown


def argv(command: str) -> tuple[list[str], dict[str, str]]:
    """Split a command line into the arguments of ``zoo`` or ``python`` and the variables before it.

    Raises:
        ValueError: for another program, or quotes that do not close.
    """
    words = shlex.split(command.replace("\\\n", " "), comments=True)
    variables: dict[str, str] = {}
    while words and re.match(r"[A-Z_]+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        variables[name] = value
    start = {"zoo": ["-m", "zoo"], "python": []}
    if not words or words[0] not in start:
        raise ValueError(f"`{command}` is neither zoo nor python; mark the block no-run and give the reason")
    python = os.environ.get(command_server.PYTHON, sys.executable)
    return [python, "-W", "error", *start[words[0]], *words[1:]], variables


def run_command(command: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of a page; its standard error is part of what it prints.

    Raises:
        ValueError: as :func:`argv`.
        subprocess.TimeoutExpired: if it takes too long.
    """
    arguments, variables = argv(command)
    environment = {**os.environ, **PLAIN, **variables}
    if command_server.ADDRESS in os.environ and arguments[3:5] == ["-m", "zoo"] and not variables:
        return command_server.run_python(arguments[3:], environment, _TIMEOUT)
    return subprocess.run(
        arguments,
        env=environment,
        encoding="utf-8",
        timeout=_TIMEOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


class Page:
    """A page while it runs.

    Args:
        path: The Markdown file.
        write: Whether to write what the blocks print into the page where it differs.
    """

    def __init__(self, path: Path, write: bool = False) -> None:
        self.path = path
        self.lines = path.read_text(encoding="utf-8").splitlines()
        self.blocks = read_page("\n".join(self.lines))
        self.compiled_lines = [*self.lines, PLAIN_PYTHON].index(PLAIN_PYTHON)
        self.write = write
        self.edits: list[tuple[int, int, list[str]]] = []
        self.file = f"<{path.name}>"
        self.module = types.ModuleType("__main__")

    def run(self) -> None:
        """Run every block, in the current directory.

        Raises:
            PageError: at the first block that fails, or prints something else than the page shows.
        """
        self._store_sources()
        for block in self.blocks:
            if block.runs:
                self._python(block) if block.language == "python" else self._console(block)
        for first, last, lines in reversed(self.edits):
            self.lines[first:last] = lines
        if self.edits:
            self.path.write_text("\n".join(self.lines) + "\n", encoding="utf-8")

    def _store_sources(self) -> None:
        """Tracebacks and ``inspect.getsource`` work as they do in a notebook: by line of the page."""
        sys.modules[self.module.__name__] = self.module
        code = [""] * len(self.lines)
        for block in self.blocks:
            if block.language == "python":
                code[block.line : block.end - 1] = self.lines[block.line : block.end - 1]
        linecache.cache[self.file] = (0, None, [line + "\n" for line in code], self.file)

    def _python(self, block: Block) -> None:
        if block.file:
            with Path(block.file).open("a", encoding="utf-8") as file:
                file.write(block.text + "\n\n")
        stream = io.StringIO()
        try:
            code = compile("\n" * block.line + block.text, self.file, "exec", dont_inherit=True)
            with contextlib.redirect_stdout(stream), self._kernels(block):
                exec(code, self.module.__dict__)
        except BaseException as error:
            raise PageError(f"line {block.line}: the block raised\n{_traceback(error)}") from error
        printed = stream.getvalue()
        if block.output:
            self._compare(block.output.line, block.output.text, printed, block.output.line)
        elif printed.strip():
            self._differs(
                block.line, "", printed, block.end, block.end, ["", "```output", *printed.splitlines(), "```"]
            )

    def _kernels(self, block: Block) -> contextlib.AbstractContextManager[None]:
        """Run compiled kernels, or below the mark their source in Python, with the same results."""
        if block.line <= self.compiled_lines:
            return contextlib.nullcontext()
        from zoo.kernels import pure_python

        return pure_python()

    def _console(self, block: Block) -> None:
        for line, command, shown in commands(block):
            try:
                done = run_command(command)
            except (ValueError, subprocess.TimeoutExpired) as error:
                raise PageError(f"line {line}: {error}") from None
            if (done.returncode != 0) != ("fails" in block.flags):
                raise PageError(f"line {line}: `{command}` exited with {done.returncode}:\n{done.stdout}")
            if shown.strip():
                self._compare(line, shown, done.stdout, line + command.count("\n"))

    def _compare(self, line: int, shown: str, printed: str, first: int) -> None:
        """Compare; ``first`` is the index in the page of what it shows."""
        if not matches(shown, printed):
            self._differs(line, shown, printed, first, first + shown.count("\n"), _tidy(printed).splitlines())

    def _differs(self, line: int, shown: str, printed: str, first: int, last: int, lines: list[str]) -> None:
        if self.write:
            self.edits.append((first, last, lines))
            return
        sides = _tidy(shown).splitlines(), _tidy(printed).splitlines()
        difference = "\n".join(difflib.unified_diff(*sides, "the page shows", "it printed", lineterm=""))
        raise PageError(f"line {line}: the output differs\n{difference}")


def _traceback(error: BaseException) -> str:
    """The traceback, without the frame of the runner."""
    frames = error.__traceback__.tb_next if error.__traceback__ else None
    return "".join(traceback.format_exception(type(error), error, frames)).rstrip()


def main() -> int:
    """Run one page in an empty directory."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("--write", action="store_true", help="write what the blocks print into the page")
    parser.add_argument("--figures", type=Path, help="directory for the PNG files that the page writes")
    options = parser.parse_args()
    page, home = options.page.resolve(), Path.cwd()
    warnings.simplefilter("error")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        sys.path[0] = ""  # as in a notebook: what is in the directory can be imported
        try:
            Page(page, options.write).run()
            for figure in Path(folder).glob("*.png") if options.figures else []:
                (home / options.figures / figure.name).write_bytes(figure.read_bytes())
        except PageError as error:
            print(f"{options.page}, {error}", file=sys.stderr)  # noqa: T201  # a command line tool
            return 1
        finally:
            os.chdir(home)  # Windows cannot remove the directory that a process is in
    return 0


if __name__ == "__main__":
    sys.exit(main())
