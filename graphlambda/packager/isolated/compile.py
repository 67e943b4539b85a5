"""Compile the modules of a folder to byte code that needs no time stamp.

In (standard input): JSON with `root`, `prefix` (where the folder will lie in a function) and `paths`. Out: an
unchecked-hash `.pyc` beside each, which names the module as a function will see it. Time stamps cannot serve:
a zip's are fixed, so Python would compile again at every cold start. Runs in an interpreter of its own, so
that what else is loaded cannot show in the bytes. https://peps.python.org/pep-0552/
"""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import struct
import sys
import warnings

_UNCHECKED_HASH = 0b01


def compile_file(root: str, prefix: str, path: str) -> None:
    """Write the byte code of one module; source that is not this Python's stays source."""
    with open(os.path.join(root, path), "rb") as file:  # noqa: PTH118, PTH123 - pathlib is not worth its import
        source = file.read()
    try:
        code = compile(source, f"{prefix}/{path}", "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        return
    target = os.path.join(root, importlib.util.cache_from_source(path))  # noqa: PTH118
    os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
    header = (
        importlib.util.MAGIC_NUMBER + struct.pack("<I", _UNCHECKED_HASH) + importlib.util.source_hash(source)
    )
    with open(target, "wb") as file:  # noqa: PTH123
        file.write(header + marshal.dumps(code))


def main() -> None:
    """Compile what standard input asks for."""
    warnings.simplefilter("ignore")
    job = json.load(sys.stdin)
    for path in job["paths"]:
        compile_file(job["root"], job["prefix"], path)


if __name__ == "__main__":
    main()
