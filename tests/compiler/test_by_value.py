"""Functions and classes of the user's own script: they compute what they compute at home, and come back as themselves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PRELUDE = """
import dataclasses, enum, functools, math
import numpy as np
import toolz
from dask import delayed
from graphlambda.compiler import compile_collections
from graphlambda.testing.inline import run_inline

FACTOR = 3

def check(*lazy, want):
    got = run_inline(compile_collections(*lazy))
    assert got == tuple(want), (got, want)
"""

SCRIPTS = {
    "closures, one inside the other": """
def outer(a):
    def middle(b):
        def inner(c): return a * 100 + b * 10 + c * FACTOR
        return inner
    return middle
check(*[delayed(outer(n)(2))(1) for n in range(3)], want=[23, 123, 223])
""",
    "an empty cell": """
def outer(flag):
    def inner(x): return late if x > 5 else x
    if flag: late = 1
    return inner
check(delayed(outer(False))(2), want=[2])
""",
    "defaults and keyword defaults": """
def f(a, b=FACTOR, *, c=4, **rest): return a, b, c, rest
check(delayed(f)(1), delayed(f)(1, 2, c=0, d=5), want=[(1, 3, 4, {}), (1, 2, 0, {"d": 5})])
""",
    "globals, modules among them": """
def f(x): return math.floor(x) + FACTOR + np.add(1, 1)
check(delayed(f)(2.5), want=[7])
""",
    "recursion and mutual recursion": """
def fact(n): return 1 if n < 2 else n * fact(n - 1)
def even(n): return True if n == 0 else odd(n - 1)
def odd(n): return False if n == 0 else even(n - 1)
def local():
    def down(n): return 0 if n == 0 else 1 + down(n - 1)
    return down
check(delayed(fact)(6), delayed(even)(10), delayed(odd)(10), delayed(local())(4), want=[720, True, False, 4])
""",
    "lambdas in containers": """
def apply(functions, x): return [f(x) for f in functions["all"]]
check(delayed(apply)({"all": [lambda v: v + 1, lambda v: v * FACTOR]}, 5), want=[[6, 15]])
""",
    "partials, curry, compose, caches, ufuncs": """
def add(a, b, c=0): return a + b + c
cached = functools.lru_cache(maxsize=None)(add)
check(
    delayed(functools.partial(add, 1, c=5))(2), delayed(toolz.curry(add)(1))(2), delayed(cached)(1, 2),
    delayed(toolz.compose(lambda v: v * 2, functools.partial(add, 1)))(3), delayed(np.maximum)(3, 9),
    want=[8, 3, 3, 8, 9],
)
""",
    "decorated functions": """
def twice(f):
    @functools.wraps(f)
    def call(*a, **k): return f(*a, **k) * 2
    return call
@twice
def f(x): return x + FACTOR
check(delayed(f)(1), want=[8])
""",
    "methods, class methods, static methods, properties": """
class Base:
    scale = 10
    def scaled(self, v): return v * self.scale
class Point(Base):
    def __init__(self, x): self.x = x
    def far(self, by): return self.scaled(self.x) + by + FACTOR
    @classmethod
    def made(cls, x): return cls(x)
    @staticmethod
    def plain(x): return x + FACTOR
    @property
    def double(self): return self.x * 2
    def up(self, v): return super().scaled(v)
p = Point(2)
check(delayed(p.far)(1), delayed(Point.plain)(1), delayed(Point.made)(4).double, delayed(p.up)(3), want=[24, 4, 8, 30])
""",
    "instances that come home are of the same class": """
class Point:
    def __init__(self, x): self.x = x
class Trouble(Exception): pass
@dataclasses.dataclass(frozen=True)
class Pair:
    a: int
    b: int = FACTOR
class Colour(enum.Enum):
    RED = 1
def make(x): return Point(x)
def colour(c): return c is Colour.RED, c
import pickle, cloudpickle
point, pair, (same, back), trouble = run_inline(compile_collections(
    delayed(make)(3), delayed(Pair)(1), delayed(colour)(Colour.RED), delayed(Trouble)("no")))
assert type(point) is Point and point.x == 3
assert pair == Pair(1, 3) and isinstance(pair, Pair)
assert same and back is Colour.RED
assert isinstance(trouble, Trouble) and trouble.args == ("no",)
""",
    "cached properties, abstract classes, slots": """
import abc
class Abstract(abc.ABC):
    @abc.abstractmethod
    def get(self): ...
class Concrete(Abstract):
    def __init__(self, v): self.v = v
    @functools.cached_property
    def square(self): return self.v ** 2 + FACTOR
    def get(self): return self.square
class Slotted:
    __slots__ = ("v",)
    def __init__(self, v): self.v = v
def sums(v): return Concrete(v).get() + Slotted(v).v
check(delayed(sums)(2), delayed(Concrete)(3).square, want=[9, 12])
""",
    "an exception of the script's own is caught as itself": """
class Trouble(Exception): pass
def fail(): raise Trouble("so it is")
try: run_inline(compile_collections(delayed(fail)()))
except Trouble as error: assert error.args == ("so it is",)
else: raise AssertionError("nothing was raised")
""",
    "a class that refers to itself and to another": """
class Node:
    def __init__(self, below=None): self.below = below
    def deeper(self): return Node(self)
    def depth(self): return 1 + (self.below.depth() if self.below else 0)
check(delayed(lambda: Node().deeper().deeper().depth())(), want=[3])
""",
    "generators and comprehensions": """
def numbers(n): yield from (i * FACTOR for i in range(n))
check(delayed(lambda n: [v for v in numbers(n)])(3), want=[[0, 3, 6]])
""",
}


def test_what_a_script_defines_works_as_at_home(tmp_path: Path) -> None:
    """One interpreter for all: each script is a block of its own, run as `__main__`."""
    script = tmp_path / "script.py"
    blocks = [f"print({title!r}, flush=True)\n{text}" for title, text in SCRIPTS.items()]
    script.write_text("\n".join([PRELUDE, *blocks]))
    ended = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", script],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, f"after {ended.stdout.splitlines()[-1:]}:\n{ended.stderr}"
    assert ended.stdout.splitlines() == list(SCRIPTS)
