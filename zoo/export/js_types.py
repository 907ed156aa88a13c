"""Type declarations for TypeScript and editors, from the JSDoc comments of an exported module."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.export.js_source import js_value

# A comment, and the line that it describes.
_COMMENTED = re.compile(r"^( *)/\*\*((?:(?!\*/).)*)\*/\n *([^\n]*)", re.MULTILINE | re.DOTALL)
_MARGIN = re.compile(r"^ *\* ?", re.MULTILINE)
_CONSTANT = re.compile(r"export const (\w+) =")
_CALL = re.compile(r"(export function )?(\w+)\((.*)\) \{$")
_CLASS = re.compile(r"export class (\w+) \{$")
_FIELD = re.compile(r"this\.(\w+) =")
_INDENT = "    "

_OF_NUMBERS = ("inputs", "states", "levels")
"""The fields of ``info`` with lists of numbers; other lists that may be empty hold texts."""


def type_declarations(source: str, info: Mapping[str, Any]) -> str:
    """The text of the declaration file of a module.

    Args:
        source: The module. Every exported name has a comment with the types of JSDoc, except ``info``.
        info: The description of the model that the module exports as ``info``.
    """
    head, _, body = source.partition("*/\n")
    return "\n".join([f"{head}*/", "", *_declarations(body, info)]).rstrip() + "\n"


def _declarations(source: str, info: Mapping[str, Any]) -> Iterator[str]:
    is_in_class = False
    for match in _COMMENTED.finditer(source):
        indent, comment, line = match.groups()
        types = dict(_types(comment))
        if is_in_class and not indent:
            yield "}\n"
            is_in_class = False
        shown = f"{indent}/**{comment}*/"
        if "@typedef" in types:
            name, kind = types["@typedef"]
            yield f"{shown}\nexport type {name} = {kind};\n"
        elif constant := _CONSTANT.match(line):
            kind = _info_type(info) if constant[1] == "info" else types["@type"][1]
            yield f"{shown}\nexport const {constant[1]}: {kind};\n"
        elif declared := _CLASS.match(line):
            yield f"{shown}\nexport class {declared[1]} {{"
            is_in_class = True
        elif is_in_class and (field := _FIELD.match(line)):
            yield f"{_INDENT}/**{comment}*/\n{_INDENT}{field[1]}: {types['@type'][1]};"
        elif (call := _CALL.match(line)) and (call[1] or is_in_class):
            end = "" if indent else "\n"
            yield f"{shown}\n{indent}{call[1] or ''}{_signature(call[2], call[3], types)}{end}"
    if is_in_class:
        yield "}"


def _signature(name: str, arguments: str, types: Mapping[str, tuple[str, str]]) -> str:
    """A function or method with the types of its arguments; those with a default may be left out."""
    declared = (types[each.partition(" = ")[0]] for each in re.split(r", (?=\w)", arguments) if each)
    listed = ", ".join(f"{name}: {kind}" for name, kind in declared)
    result = "" if name == "constructor" else f": {types.get('@returns', ('', 'void'))[1]}"
    return f"{name}({listed}){result};"


def _types(comment: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """The types in a comment: key to name and type, where the key of an argument is its name.

    Tags begin a line, so a text that a user wrote contains none.
    """
    text = _MARGIN.sub("", comment)
    for tag in re.finditer(r"^ *(@\w+) \{", text, re.MULTILINE):
        end = _closing_brace(text, tag.end())
        name = re.match(r" *(\[?)(\w*)", text[end + 1 :])
        assert name is not None  # the pattern matches every text
        key = name[2] if tag[1] == "@param" else tag[1]
        kind = re.sub(r"\n *", " ", text[tag.end() : end])
        yield key, (f"{name[2]}{'?' * bool(name[1])}", kind)


def _closing_brace(text: str, start: int) -> int:
    """The index of the brace that closes the one before an index. A brace in a string closes nothing."""
    depth = 1
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[{}]', text[start:]):
        depth += {"{": 1, "}": -1}.get(token[0], 0)
        if depth == 0:
            return start + token.start()
    raise AssertionError(f"no closing brace: {text[start : start + 40]}")


def type_of(value: object, element: str = "string") -> str:
    """The type of a JSON value.

    Args:
        value: The value.
        element: The type of the elements of empty lists.
    """
    if isinstance(value, Mapping):
        fields = ", ".join(f"{field_name(name)}: {type_of(each, element)}" for name, each in value.items())
        return f"{{ {fields} }}" if fields else "{}"
    if isinstance(value, list):
        kinds = dict.fromkeys(type_of(each, element) for each in value) or {element: None}
        return f"{next(iter(kinds))}[]" if len(kinds) == 1 else f"({' | '.join(kinds)})[]"
    if isinstance(value, bool):
        return "boolean"
    names = {str: "string", int: "number", float: "number"}
    return names.get(type(value), "null")


def _info_type(info: Mapping[str, Any]) -> str:
    lines = [
        f"{_INDENT}{field_name(name)}: {type_of(value, 'number' if name in _OF_NUMBERS else 'string')};\n"
        for name, value in info.items()
    ]
    return f"{{\n{''.join(lines)}}}"


def field_name(name: str) -> str:
    """The name of a field, in quotes if it is not an identifier."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII) else text_type(name)


def object_type(fields: Mapping[str, str]) -> str:
    """An object with fields, a line of a comment for each. ``?`` follows the name of an optional one."""
    lines = "".join(f" *{_INDENT}{name}: {kind},\n" for name, kind in fields.items())
    return f"{{\n{lines} * }}"


def text_type(text: str) -> str:
    """A text as a type. It does not end a comment."""
    return js_value(text).replace("*/", "*\\/")


def typedef(name: str, text: str, kind: str) -> str:
    """The comment that defines a type of a module."""
    return f"/**\n * {text}\n *\n * @typedef {{{kind}}} {name}\n */\n"
