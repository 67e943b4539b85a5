"""Import modules as the user's interpreter would, and say what came along, optional imports included.

In (standard input): JSON with `paths` (the folders that hold distributions, in the user's order) and `modules`.
Out (the file that the first argument names): JSON, the sorted names of all modules that were imported.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys


def main() -> None:
    """Trace what standard input asks for."""
    job = json.load(sys.stdin)
    before = set(sys.modules)
    sys.path[:0] = job["paths"]
    for name in job["modules"]:
        with contextlib.suppress(
            BaseException
        ):  # importing may raise anything; what it imported until then counts
            importlib.import_module(name)
    with open(sys.argv[1], "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib is not worth its import
        json.dump(sorted(set(sys.modules) - before), file)


if __name__ == "__main__":
    main()
