"""Other people's code for references: functions and values of files of repositories, at one commit.

Clone the repository into a folder ``OWNER+NAME`` and name the folder above it:

    git clone https://github.com/fla-org/flash-linear-attention code/fla-org+flash-linear-attention
    OFFICIAL_CODE=code python tests/golden/make_cells.py kda

No code of others is stored here. A reference that runs such a function names repository, commit, file and
licence.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any


class MissingCloneError(Exception):
    """A repository has not been cloned."""


def official(
    repository: str,
    commit: str,
    path: str,
    *names: str,
    edits: Mapping[str, str] | None = None,
    **environment: Any,
) -> Any:
    """Load functions and classes of a file of a repository, without the rest of the file.

    What the file imports and does elsewhere, for example for a GPU, is left out. Single precision in it
    becomes double precision.

    Args:
        repository: Owner and name on GitHub.
        commit: Commit that holds the file.
        path: File in the repository, in Python or a notebook.
        *names: Functions and classes of the file. Those of a class are named by the function alone.
        edits: Text of these functions to replace, by its replacement, for example a rounded constant.
        **environment: Modules and values that they use.

    Returns:
        The function or class, or a list of them.

    Raises:
        MissingCloneError: if there is no clone of the repository.
    """
    tree = ast.parse(official_text(repository, commit, path))
    wanted = {node.name: node for node in ast.walk(tree) if getattr(node, "name", None) in names}
    for node in wanted.values():
        node.decorator_list = []
    text = "\n\n".join(ast.unparse(wanted[name]) for name in names)
    text = re.sub(r"torch\.float(32)?\b", "torch.float64", text).replace(".float()", ".double()")
    for old, new in (edits or {}).items():
        assert old in text, old
        text = text.replace(old, new)
    module = _run(text, environment)
    functions = [getattr(module, name) for name in names]
    return functions if len(names) > 1 else functions[0]


def official_values(
    repository: str, commit: str, path: str, *names: str, **environment: Any
) -> dict[str, Any]:
    """Values that a file of a repository assigns to names, in functions too.

    Args:
        repository: Owner and name on GitHub.
        commit: Commit that holds the file.
        path: File in the repository, in Python or a notebook.
        *names: Names of variables, of which the first assignment counts; all of the file if there are none.
        **environment: Modules and values that the assignments use.

    Returns:
        The values by name.

    Raises:
        MissingCloneError: if there is no clone of the repository.
    """
    tree = ast.parse(official_text(repository, commit, path))
    nodes = ast.walk(tree) if names else tree.body
    assignments: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in names or not names:
                assignments.setdefault(name, ast.unparse(node.value))
    if missing := set(names) - set(assignments):
        raise LookupError(f"{repository}, {path}: no plain assignment to {', '.join(sorted(missing))}")
    module = _run("\n".join(f"{name} = {value}" for name, value in assignments.items()), environment)
    return {name: getattr(module, name) for name in assignments}


def official_arguments(repository: str, commit: str, path: str) -> dict[str, Any]:
    """Defaults of the command line of a script of a repository, which is not run.

    Raises:
        MissingCloneError: if there is no clone of the repository.
    """
    defaults = {}
    for node in ast.walk(ast.parse(official_text(repository, commit, path))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            values = {keyword.arg: keyword.value for keyword in node.keywords}
            name = ast.literal_eval(node.args[-1]).lstrip("-").replace("-", "_")
            defaults[name] = ast.literal_eval(values["default"]) if "default" in values else None
    return defaults


def official_text(repository: str, commit: str, path: str) -> str:
    """Text of a file of a repository; of a notebook, its code.

    Raises:
        MissingCloneError: if there is no clone of the repository.
    """
    clone = Path(os.environ["OFFICIAL_CODE"]) / repository.replace("/", "+")
    clone = clone / "repo" if (clone / "repo").is_dir() else clone
    if not clone.is_dir():
        raise MissingCloneError(f"no clone: git clone https://github.com/{repository} {clone}")
    show = ["git", "-C", str(clone), "show", f"{commit}:{path}"]
    text = subprocess.run(show, capture_output=True, check=True, encoding="utf-8").stdout
    return code_of_notebook(text) if path.endswith(".ipynb") else text


def _run(text: str, environment: Mapping[str, Any]) -> ModuleType:
    """Run code as a module, in which the names of the environment are known."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "official_code.py"
        file.write_text(f"from __future__ import annotations\n\n{text}\n", encoding="utf-8")
        spec = spec_from_file_location("official_code", file)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        vars(module).update(environment)
        sys.dont_write_bytecode = True
        sys.modules[spec.name] = module  # data classes look it up
        spec.loader.exec_module(module)
    return module


def code_of_notebook(text: str) -> str:
    """Code of all cells of a Jupyter notebook, with ``pass`` in place of commands of IPython."""
    cells = [cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return re.sub(r"(?m)^( *)[%!].*", r"\1pass", "\n".join("".join(source) for source in cells))
