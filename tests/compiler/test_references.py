"""What code names is evidence, wherever the name stands; files that do not help are no obstacle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import graphlambda

PRELUDE = """
import functools, sys
import scipy.fft, scipy.linalg, yaml
from dask import delayed
from graphlambda.packager import this_target
from graphlambda.compiler import called_operations, compile_collections
from graphlambda.packager import read_installed
from graphlambda.packager.requirements import evidence_of

def check(value, *wanted):
    (operation,) = called_operations(compile_collections(value))
    found = evidence_of(operation)
    assert set(wanted) <= found, (wanted, found)
    return operation, found
"""

SCRIPTS = {
    "an imported function": "check(delayed(yaml.safe_load)('1'), 'yaml')",
    "a function that is another module's in truth": "check(delayed(scipy.fft.fft)(1), 'scipy.fft._basic')",
    "a module among the globals": "check(delayed(lambda x: scipy.linalg.norm(x))(1), 'scipy.linalg')",
    "an import inside": """
def f(x):
    from scipy import stats
    import sympy.core
check(delayed(f)(1), 'scipy.stats', 'sympy.core')
""",
    "an import inside of a function inside": """
def f(x):
    def g():
        return [__import__('json') for _ in x] or (lambda: __import__('regex'))
    return g()
check(delayed(f)(1), 'regex')
""",
    "import_module with a constant": """
import importlib
check(delayed(lambda x: importlib.import_module('sympy.core'))(1), 'sympy.core')
""",
    "a word beside import_module that only names a folder": """
import importlib
operation, found = check(delayed(lambda x: (importlib.import_module(x), 'results'))('yaml'))
assert 'results' not in found, found
""",
    "a closure, a default, a partial": """
def f(x, m=yaml):
    return g(x)
def make(m):
    def g(x): return m
    return g
g = make(scipy.fft)
check(delayed(functools.partial(f, 1))(), 'yaml', 'scipy.fft')
""",
    "a method of a shipped class, by its class, its instance and its method": """
class A:
    @staticmethod
    def s(x):
        import sympy
    def m(self, x):
        return yaml.safe_load(x)
check(delayed(A)(), 'sympy', 'yaml')
check(delayed(lambda a: a.s(1))(A()), 'sympy', 'yaml')
check(delayed(A().m)(1), 'sympy', 'yaml')
""",
    "a decorated function": """
@functools.lru_cache
def f(x):
    import regex
    return yaml.safe_load(x)
check(delayed(f)('1'), 'yaml', 'regex')
""",
    "a relative import is no distribution": """
import pack
operation, found = check(delayed(lambda x: pack.y)(1))
assert [file.path for file in operation.files] == ['pack/__init__.pyc', 'pack/numpy.pyc'], operation.files
assert found == set(), found
""",
    "a file that has a distribution's name is that file": """
import requests
operation, found = check(delayed(lambda x: requests.get(x))(1))
assert [file.path for file in operation.files] == ['requests.pyc']
assert found == set(), found
""",
    "files that import each other": """
import left
operation, found = check(delayed(left.f)(1), 'scipy.fft', 'sympy')
assert {file.path for file in operation.files} >= {'right.pyc'}
assert found <= {'scipy', 'scipy.fft', 'sympy'}, found
""",
    "an optional import of what is not there": """
import optional
operation, found = check(delayed(lambda x: optional.f(x))(1))
assert not any(map(read_installed().providers, found)), found
""",
    "a file that this Python cannot read": """
import tolerant
operation, found = check(delayed(lambda x: tolerant.f(x))(1), 'yaml')
contents = {file.path: file.content for file in operation.files}
assert contents['broken.py'] == open('broken.py', 'rb').read() and 'tolerant.pyc' in contents
""",
}

FILES = {
    "pack/__init__.py": "from .numpy import y\n",
    "pack/numpy.py": "y = 1\n",
    "results/first.txt": "",
    "requests.py": "def get(x): return x\n",
    "left.py": "import right\n\ndef f(x):\n    import sympy\n    return right.g(x)\n",
    "right.py": "import left\nimport scipy.fft\n\ndef g(x): return scipy.fft.fft(x)\n",
    "optional.py": "try:\n    import nowhere_at_all\nexcept ImportError:\n    pass\n\ndef f(x): return x\n",
    "tolerant.py": "import yaml\ntry:\n    import broken\nexcept SyntaxError:\n    pass\n\ndef f(x): return x\n",
    "broken.py": "def f(:\n    import numpy\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("user")
    for path, text in FILES.items():
        (made / path).parent.mkdir(exist_ok=True)
        (made / path).write_text(text)
    return made


def test_names_in_code_are_evidence_and_files_that_do_not_help_are_no_obstacle(folder: Path) -> None:
    cases = "".join(f"# {name}\n{text.strip()}\n" for name, text in SCRIPTS.items())
    (folder / "script.py").write_text(PRELUDE + cases)
    found = subprocess.run(
        [sys.executable, folder / "script.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(graphlambda.__path__[0]).parent)},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert found.returncode == 0, found.stderr
