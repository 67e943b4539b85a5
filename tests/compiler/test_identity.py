"""Identity is never stale and never nervous.

Never stale: change one thing that decides what a task computes, and either the operation's id or what its tasks bind
changes. Never nervous: change what decides nothing (a comment, a line, a place), and nothing is deployed anew.
"""

from __future__ import annotations

import importlib
import marshal
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from dask import delayed

from graphlambda.compiler import compile_collections
from graphlambda.compiler.code import locate
from graphlambda.testing.inline import run_inline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

STAGE = "stage_of_identity"
HELPER = "helper_of_identity"
PACKAGE = "package_of_identity"


@pytest.fixture(autouse=True)
def _modules_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield
    for name in list(sys.modules):
        if name.split(".")[0] in (STAGE, HELPER, PACKAGE):
            del sys.modules[name]


def defined(text: str, name: str = "f", file: str = "/some/place/script.py") -> Any:
    """Return what a script defines, as if it were the user's `__main__`."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(textwrap.dedent(text), file, "exec"), names)
    return names[name]


def shipped(function: Any, *arguments: Any) -> dict[str, Any]:
    """Return all that is deployed, and all that is sent."""
    program = compile_collections(delayed(function)(*(arguments or (1,))))
    return {
        "deployed": {
            table.operation.id: (
                table.operation.source,
                table.operation.imports,
                table.operation.files,
                codes(table.operation.code),
            )
            for table in program.tables
        },
        "sent": [list(map(repr, program.bindings(task))) for task in range(program.task_count)],
    }


def codes(table: bytes) -> Any:
    """Return shipped code by name; a pickled class is not compared: its bytes differ each time."""
    entries = marshal.loads(table) if table else {}
    return {name: code for name, code in entries.items() if not isinstance(code, bytes)}


BASE = """
    SCALE = 3
    class Base:
        def scaled(self, v): return v * SCALE
    class Point(Base):
        step = 1
        def move(self, v, by=5): return self.scaled(v) + self.step + by
    def helper(v): return v + 1
    def make(offset):
        def inner(v, times=2, *, less=1):
            return helper(v) * times - less + offset + Point().move(v)
        return inner
    f = make(10)
"""

MUTATIONS = {
    "a closure's value": ("make(10)", "make(11)"),
    "a default": ("times=2", "times=3"),
    "a keyword default": ("less=1", "less=2"),
    "the code": ("- less", "+ less"),
    "a constant in the code": ("return v + 1", "return v + 2"),
    "the type of a constant": ("return v + 1", "return v + 1.0"),
    "a helper's code": ("return v + 1", "return 1 - v"),
    "a class attribute": ("step = 1", "step = 2"),
    "a method": ("+ self.step", "- self.step"),
    "a method's default": ("by=5", "by=6"),
    "a base class's method": ("return v * SCALE", "return v / SCALE"),
    "a global that a method uses": ("SCALE = 3", "SCALE = 4"),
    "the bases": ("class Point(Base):", "class Point(Base, dict):"),
}


@pytest.mark.parametrize(("old", "new"), MUTATIONS.values(), ids=MUTATIONS)
def test_what_decides_a_result_changes_what_is_used(old: str, new: str) -> None:
    changed = BASE.replace(old, new)
    assert changed != BASE
    assert shipped(defined(changed)) != shipped(defined(BASE))


@pytest.mark.parametrize(("old", "new"), MUTATIONS.values(), ids=MUTATIONS)
def test_the_next_run_uses_the_change(old: str, new: str) -> None:
    changed = defined(BASE.replace(old, new))
    assert run_inline(compile_collections(delayed(changed)(7))) == (changed(7),)


CLASSES = {
    "the metaclass's code": (
        """
        class Meta(type):
            def __call__(cls): return 1
        class C(metaclass=Meta): pass
        def f(v): return C()
        """,
        ("return 1", "return 2"),
    ),
    "the metaclass": (
        """
        class Meta(type):
            def __call__(cls): return 1
        class C(metaclass=Meta): pass
        def f(v): return C() == 1
        """,
        ("C(metaclass=Meta)", "C"),
    ),
    "a class's docstring": (
        """
        class C:
            "One."
        def f(v): return C.__doc__
        """,
        ("One.", "Two."),
    ),
    "a property's docstring": (
        """
        class C:
            size = property(lambda self: 1, doc="One.")
        def f(v): return C.size.__doc__
        """,
        ("One.", "Two."),
    ),
    "a method's attribute": (
        """
        class C:
            def g(self): return C.g.limit
            g.limit = 1
        def f(v): return C().g()
        """,
        ("limit = 1", "limit = 2"),
    ),
    "what a method wraps": (
        """
        import functools
        def wrapper(function):
            def call(self): return C.g.__wrapped__(self)
            return functools.update_wrapper(call, function)
        class C:
            @wrapper
            def g(self): return 1
        def f(v): return C().g()
        """,
        ("return 1", "return 2"),
    ),
    "a method's annotations": (
        """
        class C:
            def g(self, x: int): return C.g.__annotations__
        def f(v): return C().g(v)
        """,
        ("x: int", "x: str"),
    ),
    "a method's qualified name": (
        """
        class C:
            def g(self): return C.g.__qualname__
            g.__qualname__ = "one"
        def f(v): return C().g()
        """,
        ("one", "two"),
    ),
    "a method's docstring that was set": (
        """
        class C:
            def g(self): return C.g.__doc__
            g.__doc__ = "One."
        def f(v): return C().g()
        """,
        ("One.", "Two."),
    ),
    "an attribute of what a cached function calls": (
        """
        import functools
        def g(): return g.limit
        g.limit = 1
        @functools.cache
        def f(v): return g()
        """,
        ("limit = 1", "limit = 2"),
    ),
}


@pytest.mark.parametrize(("text", "change"), CLASSES.values(), ids=CLASSES)
def test_what_a_pickled_class_carries_changes_the_operation(text: str, change: tuple[str, str]) -> None:
    before, after = defined(text), defined(text.replace(*change))
    assert before(7) != after(7)
    assert set(shipped(before)["deployed"]) != set(shipped(after)["deployed"])
    assert run_inline(compile_collections(delayed(after)(7))) == (after(7),)


def test_an_address_in_a_docstring_deploys_nothing() -> None:
    text = """
        import dataclasses
        class Marker: pass
        @dataclasses.dataclass
        class C:
            x: object = Marker()
        def f(v): return C().x is not None
        """
    before, after = defined(text, "C"), defined(text, "C")
    assert before.__doc__ != after.__doc__
    assert shipped(before) == shipped(after)


HARMLESS: dict[str, Callable[[str], str]] = {
    "a comment": lambda text: text.replace("return inner", "# hands it out\n        return inner"),
    "blank lines": lambda text: text.replace("def helper", "\n\n\n    def helper"),
    "a line more above": lambda text: "    UNUSED = 1\n" + text,
    "another order of definitions": lambda text: text.replace("    SCALE = 3\n", "").replace(
        "    f = make", "    SCALE = 3\n    f = make"
    ),
}


@pytest.mark.parametrize("change", HARMLESS.values(), ids=HARMLESS)
def test_what_decides_nothing_deploys_nothing(change: Callable[[str], str]) -> None:
    changed = change(BASE)
    assert changed != BASE
    assert shipped(defined(changed)) == shipped(defined(BASE))


def test_the_place_of_a_script_deploys_nothing() -> None:
    here, there = (defined(BASE, file=f"/{place}/script.py") for place in ("here", "there"))
    assert shipped(here) == shipped(there)


def test_a_docstrings_place_deploys_nothing() -> None:
    text = 'def f(v):\n    "What it does."\n    return v + 1\n'
    assert shipped(defined(text)) == shipped(defined(text.replace("f(v):\n", "f(v):\n\n\n")))


def module(folder: Path, name: str, text: str) -> ModuleType:
    """Write a module and import it, anew if it was imported before."""
    path = folder / f"{name.replace('.', '/')}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(textwrap.dedent(text))
    importlib.invalidate_caches()
    known = sys.modules.get(name)
    return importlib.import_module(name) if known is None else importlib.reload(known)


CALLS_HELPER = f"import {HELPER}\ndef f(v): return {HELPER}.g(v)\n"


def test_a_helper_in_an_imported_file_changes_the_operation(tmp_path: Path) -> None:
    module(tmp_path, HELPER, "def g(v): return v + 1\n")
    stage = module(tmp_path, STAGE, CALLS_HELPER)
    before = shipped(stage.f)
    module(tmp_path, HELPER, "def g(v): return v + 22\n")
    after = shipped(stage.f)
    assert set(after["deployed"]) != set(before["deployed"])


def test_a_helper_imported_inside_a_function_changes_the_operation(tmp_path: Path) -> None:
    module(tmp_path, HELPER, "def g(v): return v + 1\n")
    stage = module(tmp_path, STAGE, f"def f(v):\n    from {HELPER} import g\n    return g(v)\n")
    before = shipped(stage.f)
    module(tmp_path, HELPER, "def g(v): return v + 22\n")
    assert set(shipped(stage.f)["deployed"]) != set(before["deployed"])


def test_a_helper_of_the_same_package_changes_the_operation(tmp_path: Path) -> None:
    (tmp_path / PACKAGE).mkdir()
    (tmp_path / PACKAGE / "__init__.py").touch()
    module(tmp_path, f"{PACKAGE}.inner", "def g(v): return v + 1\n")
    stage = module(tmp_path, f"{PACKAGE}.outer", "def f(v):\n    from .inner import g\n    return g(v)\n")
    before = shipped(stage.f)
    assert run_inline(compile_collections(delayed(stage.f)(1))) == (2,)
    module(tmp_path, f"{PACKAGE}.inner", "def g(v): return v + 22\n")
    assert set(shipped(stage.f)["deployed"]) != set(before["deployed"])


def test_a_data_file_beside_a_module_changes_the_operation(tmp_path: Path) -> None:
    text = "from pathlib import Path\ndef f(v): return Path(__file__).with_name('table.txt').read_text()\n"
    (tmp_path / "table.txt").write_text("one")
    module(tmp_path, HELPER, text)
    stage = module(tmp_path, STAGE, f"import {HELPER}\ndef f(v): return {HELPER}.f(v)\n")
    before = shipped(stage.f)
    (tmp_path / "table.txt").write_text("another")
    after = shipped(stage.f)
    assert set(after["deployed"]) != set(before["deployed"])


def test_a_comment_in_an_imported_file_deploys_nothing(tmp_path: Path) -> None:
    module(tmp_path, HELPER, "def g(v): return v + 1\n")
    stage = module(tmp_path, STAGE, CALLS_HELPER)
    before = shipped(stage.f)
    module(tmp_path, HELPER, "# what it does\n\n\ndef g(v): return v + 1\n")
    assert shipped(stage.f) == before


def test_shipped_code_names_no_file(tmp_path: Path) -> None:
    module(tmp_path, HELPER, "def g(v):\n    return [w for w in [v]]\n")
    stage = module(tmp_path, STAGE, CALLS_HELPER)
    script = defined(BASE, file=str(tmp_path / "script.py"))
    for function in (stage.f, script):
        for table in compile_collections(delayed(function)(1)).tables:
            contents = [table.operation.code, table.operation.source.encode()]
            contents += [file.content for file in table.operation.files]
            assert contents[0]
            assert not any(str(tmp_path).encode() in content for content in contents)


def test_a_frame_of_shipped_code_leads_home(tmp_path: Path) -> None:
    text = "\n\n\ndef f(v):\n    w = v + 1\n    return w / 0\n"
    function = defined(text, file=str(tmp_path / "script.py"))
    with pytest.raises(ZeroDivisionError) as caught:
        run_inline(compile_collections(delayed(function)(1)))
    last = caught.tb
    while last.tb_next is not None:
        last = last.tb_next
    code = last.tb_frame.f_code
    assert len(code.co_filename) == 18
    assert locate(code.co_filename.strip("<>"), last.tb_lasti) == (str(tmp_path / "script.py"), 6, "f")
    assert locate("0" * 16, 0) is None


CLASS = """class Leg:
    def __init__(self):
        self.km, self.start, self.end = 1, 2, 3
"""


def test_a_class_is_the_same_on_another_line_and_under_another_hash_seed() -> None:
    """From 3.13 on, its body holds the number of its first line, and 3.13.0 orders its attributes by chance."""
    script = (
        "import sys\nfrom graphlambda.compiler.code import fingerprint\n"
        "print(*{fingerprint(compile(before + sys.argv[1], 'file', 'exec')) for before in ('', '# moved' + chr(10) * 9)})"
    )
    marks = [
        subprocess.run(
            [sys.executable, "-c", script, CLASS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("0", "1", "2", "3")
    ]
    assert len(marks[0]) == 1
    assert marks == [marks[0]] * 4
