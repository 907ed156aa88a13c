"""Write the generated reference: docs/reference/*.md from the docstrings, and docs/cli.md from ``--help``.

    python tools/make_reference.py

docs/reference/ has a page for each table of docs/reference.md and for each public module: every name with its
signature and the first paragraph of its docstring. The source is read and not imported, so optional libraries
make no difference. On the site, Sphinx writes larger pages with the same names.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import NamedTuple

import click
from click.testing import CliRunner

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "reference"
CLI_PAGE = ROOT / "docs" / "cli.md"
BEGIN, END = "<!-- made by: python tools/make_reference.py -->", "<!-- end of what was made -->"
WIDTH = 100

sys.path.insert(0, str(ROOT / "docs" / "site"))
import contents  # noqa: E402  # the groups of names, shared with the site

Definition = ast.ClassDef | ast.FunctionDef | ast.Assign | ast.AnnAssign


class Source(NamedTuple):
    """A definition and the module that holds it."""

    module: str
    node: Definition


# ---- definitions in the source ---------------------------------------------------------------------------


@cache
def _parse(module: str) -> ast.Module:
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))


def _statements(module: str) -> Iterator[ast.stmt]:
    """Yield the statements of a module, also those under ``if TYPE_CHECKING``."""
    for node in _parse(module).body:
        yield node
        if isinstance(node, ast.If):
            yield from node.body


def find_definition(path: str) -> Source:
    """Find the definition of a dotted name, through re-exports.

    Raises:
        LookupError: if there is none.
    """
    module, _, name = path.rpartition(".")
    for node in _statements(module):
        if (
            isinstance(node, ast.ClassDef | ast.FunctionDef)
            and node.name == name
            and "overload" not in map(ast.unparse, node.decorator_list)
        ):
            return Source(module, node)
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return find_definition(f"{node.module}.{alias.name}")
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return Source(module, node)
            if ast.unparse(targets[0]) == "_EXPORTS":
                assert node.value is not None
                for source, names in ast.literal_eval(node.value).items():
                    if name in names.split():
                        return find_definition(f"{module}.{source}.{name}")
    raise LookupError(f"{path} is not defined in {module}")


def public_names(module: str) -> list[str]:
    """Return the public names of a module, from ``__all__`` or the table of lazy names, in order."""
    for node in _parse(module).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ("_EXPORTS", "__all__"):
            value = ast.literal_eval(node.value)
            return sorted(" ".join(value.values()).split() if isinstance(value, dict) else value)
    raise LookupError(f"{module} lists no public names")


# ---- signatures ------------------------------------------------------------------------------------------


def _parameters(node: ast.FunctionDef, module: str, *, bound: bool) -> list[str]:
    """Return the parameters as source, without the annotation ``Any``."""
    arguments = node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + arguments.defaults
    texts = [_parameter(arg, default) for arg, default in zip(positional, defaults, strict=True)]
    if arguments.posonlyargs:
        texts.insert(len(arguments.posonlyargs), "/")
    texts = texts[1:] if bound else texts
    if arguments.vararg:
        texts.append(f"*{_parameter(arguments.vararg, None)}")
    elif arguments.kwonlyargs:
        texts.append("*")
    texts += [
        _parameter(arg, default)
        for arg, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    ]
    if options := _options(node, module):
        return texts + options
    return texts + ([f"**{_parameter(arguments.kwarg, None)}"] if arguments.kwarg else [])


def _options(node: ast.FunctionDef, module: str) -> list[str]:
    """Return the parameters that the decorator ``with_options(owner, Options, DEFAULTS)`` lists."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "with_options":
            names = [ast.unparse(each) for each in decorator.args[1:]]
            modules = [find_definition(f"{module}.{name}").module for name in names]
            options, defaults = map(resolve_name, map("{}:{}".format, modules, names))
            annotations = {
                name: ast.parse(annotation.__forward_arg__, mode="eval").body
                for name, annotation in options.__annotations__.items()
            }
            return [
                _parameter(ast.arg(name, annotation), ast.Constant(defaults[name]))
                for name, annotation in annotations.items()
            ]
    return []


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    annotation = ast.unparse(argument.annotation).strip("'\"") if argument.annotation else "Any"
    text = argument.arg if annotation == "Any" else f"{argument.arg}: {annotation}"
    if default is None:
        return text
    return f"{text}={ast.unparse(default)}" if annotation == "Any" else f"{text} = {ast.unparse(default)}"


def _returned(node: ast.FunctionDef) -> str:
    annotation = ast.unparse(node.returns).strip("'\"") if node.returns else "None"
    return "" if annotation in ("None", "Any") else f" -> {annotation}"


def _class_parameters(source: Source) -> list[str]:
    """Return the parameters of ``__init__``, or the fields of a dataclass or named tuple."""
    for owner in _with_bases(source):
        methods = {node.name: node for node in owner.body if isinstance(node, ast.FunctionDef)}
        if "__init__" in methods:
            return _parameters(methods["__init__"], source.module, bound=True)
        decorators = "".join(ast.unparse(each) for each in owner.decorator_list)
        if "dataclass" in decorators or "NamedTuple" in map(ast.unparse, owner.bases):
            fields = [node for node in owner.body if isinstance(node, ast.AnnAssign)]
            keywords_only = ["*"] if "kw_only=True" in decorators else []
            names = [_field(node) for node in fields if not ast.unparse(node.target).startswith("_")]
            return keywords_only + names
    return []


def _field(node: ast.AnnAssign) -> str:
    text = f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}"
    default = ast.unparse(node.value) if node.value else ""
    if default.startswith("field("):
        default = "..." if "default" in default else ""
    elif isinstance(node.value, ast.Call) and node.value.args:  # a default with its checks and its help
        default = ast.unparse(node.value.args[0]).replace("dict", "{}")
    return f"{text} = {default}" if default else text


def _help_texts(source: Source) -> Iterator[str]:
    """Yield a line for each field whose default is a call with a help text."""
    assert isinstance(source.node, ast.ClassDef)
    for field in source.node.body:
        if isinstance(field, ast.AnnAssign) and isinstance(field.value, ast.Call):
            name, text = ast.unparse(field.target), ""
            for each in field.value.args[1:]:
                if isinstance(each, ast.Constant) and isinstance(each.value, str):
                    text = each.value
                elif isinstance(each, ast.JoinedStr):  # only the class has its value
                    fields = resolve_name(f"{source.module}:{source.node.name}").__dataclass_fields__
                    text = fields[name].metadata["help"]
            if text:
                yield f"- `{name}`: {_to_markdown(' '.join(text.split()))}"


def _with_bases(source: Source) -> Iterator[ast.ClassDef]:
    """Yield a class and those of its base classes that zoo defines."""
    assert isinstance(source.node, ast.ClassDef)
    yield source.node
    for base in source.node.bases:
        name = ast.unparse(base).partition("[")[0]
        try:
            origin = find_definition(f"{source.module}.{name}")
        except (LookupError, FileNotFoundError):  # a class of another project
            continue
        if isinstance(origin.node, ast.ClassDef):
            yield from _with_bases(origin)


def _call(name: str, parameters: list[str], returned: str = "") -> str:
    line = f"{name}({', '.join(parameters)}){returned}"
    if len(line) <= WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {parameter}," for parameter in parameters), f"){returned}"])


# ---- pages -----------------------------------------------------------------------------------------------


def _first_paragraph(node: ast.AST) -> str:
    text = ast.get_docstring(node) or ""  # type: ignore[arg-type]
    return _to_markdown(" ".join(text.partition("\n\n")[0].split()))


def _to_markdown(text: str) -> str:
    text = re.sub(r":\w+:`~?([^`]*)`", r"`\1`", text)
    return re.sub(r"``([^`]*)``", r"`\1`", text)


def _entry(path: str) -> Iterator[str]:
    source = find_definition(path)
    node = source.node
    yield f"## {path}"
    yield ""
    if isinstance(node, ast.FunctionDef):
        yield from _block(_call(path, _parameters(node, source.module, bound=False), _returned(node)))
        yield from (_first_paragraph(node), "")
    elif isinstance(node, ast.ClassDef):
        yield from _block(_call(path, _class_parameters(source)))
        yield from (_first_paragraph(node), "")
        if lines := [*_help_texts(source), *_members(source)]:
            yield from (*lines, "")
    else:
        value = ast.unparse(node.value) if node.value else ""
        yield from _block(f"{path} = {value}" if len(value) < WIDTH - len(path) else path)


def _block(text: str) -> tuple[str, ...]:
    return ("```text", text, "```", "")


def _members(source: Source) -> Iterator[str]:
    """Yield a line for each public method and property, those of base classes included."""
    seen = set()
    for owner in _with_bases(source):
        for node in owner.body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_") or node.name in seen:
                continue
            if not ast.get_docstring(node):
                continue
            seen.add(node.name)
            decorators = [ast.unparse(each) for each in node.decorator_list]
            if any("property" in each for each in decorators):
                text = node.name
            else:
                is_bound = "staticmethod" not in decorators
                parameters = ", ".join(_parameters(node, source.module, bound=is_bound))
                text = f"{node.name}({parameters}){_returned(node)}"
            yield f"- `{text}`: {_first_paragraph(node)}"


def reference_pages() -> dict[Path, str]:
    """Return the text of each page of docs/reference/."""
    pages = {}
    for title, names in contents.reference().items():
        lines = [f"# {title}", ""]
        if not names:
            lines += [_first_paragraph(_parse(title)), ""]
            names = [f"{title}.{name}" for name in public_names(title)]
        lines += ["Signatures and first sentences. See [all names](../reference.md) for the guides.", ""]
        lines += ["<!-- generated by: python tools/make_reference.py -->", ""]
        lines += [line for name in names for line in _entry(name)]
        pages[FOLDER / f"{contents.file_name(title)}.md"] = "\n".join(lines).rstrip() + "\n"
    return pages


def command_page(page: str) -> str:
    """Return docs/cli.md with the help of every command between its two marks."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{CLI_PAGE} has no line {BEGIN} or {END}")
    return "\n".join([head + BEGIN, "", *_commands(), END]) + tail


def _commands() -> Iterator[str]:
    from zoo.cli.app import cli
    from zoo.tables import TextTable

    commands = dict(_walk(cli, "zoo", click.Context(cli, info_name="zoo")))
    rows = (
        (f"[`{name}`](#{name.replace(' ', '-')})", _purpose(command)) for name, command in commands.items()
    )
    yield from TextTable("", ("command", "purpose"), tuple(rows)).markdown()
    yield ""
    yield from _section("zoo", [])
    for name in commands:
        yield from _section(name, name.split()[1:])


def _purpose(command: click.Command) -> str:
    return command.get_short_help_str(200)


def _walk(group: click.Group, path: str, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from _walk(command, f"{path} {name}", context)


def _section(title: str, arguments: list[str]) -> tuple[str, ...]:
    from zoo.cli.app import cli

    result = CliRunner().invoke(
        cli, [*arguments, "--help"], prog_name="zoo", terminal_width=WIDTH, env={"NO_COLOR": "1"}
    )
    assert result.exit_code == 0, result.output
    text = "\n".join(line.rstrip() for line in result.output.rstrip().splitlines())
    return (f"## {title}", "", *_block(text))


def main() -> None:
    """Write all pages, and remove those of names that are gone."""
    pages = reference_pages()
    FOLDER.mkdir(exist_ok=True)
    for left_over in set(FOLDER.glob("*.md")) - pages.keys():
        left_over.unlink()
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")
    CLI_PAGE.write_text(command_page(CLI_PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
