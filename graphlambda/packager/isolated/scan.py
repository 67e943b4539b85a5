"""Ask pipreqs what source files import, or under which name an index serves a module.

In (standard input): JSON with `paths` (where pipreqs is installed), `folders` (each with copies of the files of
one question) and `modules`. Out (the file that the first argument names): JSON with the imports of each folder
and the likely distribution of each module. In an interpreter of its own, because pipreqs imports `requests`,
which in the user's process may be a file of the user's own.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Answer what standard input asks."""
    job = json.load(sys.stdin)
    sys.path[:0] = job["paths"]
    from pipreqs.pipreqs import get_all_imports, get_pkg_names  # noqa: PLC0415  (found where the job says)

    imports = [sorted(get_all_imports(folder, encoding="utf-8")) for folder in job["folders"]]
    names = {module: get_pkg_names([module])[0] for module in job["modules"]}
    with open(sys.argv[1], "w", encoding="utf-8") as file:  # noqa: PTH123 - as its neighbours
        json.dump({"imports": imports, "names": names}, file)


if __name__ == "__main__":
    main()
