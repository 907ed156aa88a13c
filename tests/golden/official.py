"""Other people's code for references: functions of one file of a repository, as they are at one commit.

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
    clone = Path(os.environ["OFFICIAL_CODE"]) / repository.replace("/", "+")
    clone = clone / "repo" if (clone / "repo").is_dir() else clone
    if not clone.is_dir():
        raise MissingCloneError(f"no clone: git clone https://github.com/{repository} {clone}")
    show = ["git", "-C", str(clone), "show", f"{commit}:{path}"]
    source = subprocess.run(show, capture_output=True, check=True, encoding="utf-8").stdout
    tree = ast.parse(code_of_notebook(source) if path.endswith(".ipynb") else source)
    wanted = {node.name: node for node in ast.walk(tree) if getattr(node, "name", None) in names}
    for node in wanted.values():
        node.decorator_list = []
    text = "\n\n".join(ast.unparse(wanted[name]) for name in names)
    text = re.sub(r"torch\.float(32)?\b", "torch.float64", text).replace(".float()", ".double()")
    for old, new in (edits or {}).items():
        assert old in text, old
        text = text.replace(old, new)
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
    functions = [getattr(module, name) for name in names]
    return functions if len(names) > 1 else functions[0]


def code_of_notebook(text: str) -> str:
    """Code of all cells of a Jupyter notebook, with ``pass`` in place of commands of IPython."""
    cells = [cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    return re.sub(r"(?m)^( *)[%!].*", r"\1pass", "\n".join("".join(source) for source in cells))
