"""Collections in, Program out: read, split, verify.

Must not know packaging, AWS, or time. Dask is imported in `read` alone.
"""

from graphlambda.compiler.compile import compile_collections, compile_graph
from graphlambda.compiler.evidence import kept_modules
from graphlambda.compiler.program import Operation, Program
from graphlambda.compiler.projections import called_operations

__all__ = [
    "Operation",
    "Program",
    "called_operations",
    "compile_collections",
    "compile_graph",
    "kept_modules",
]
