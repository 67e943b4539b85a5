"""Collections in, Program out: read, split, verify.

Must not know packaging, AWS, or time. Dask is imported in `read` alone.
"""

from graphlambda.compiler.compile import compile_collections, compile_graph
from graphlambda.compiler.evidence import kept_modules
from graphlambda.compiler.program import Operation, Program

__all__ = ["Operation", "Program", "compile_collections", "compile_graph", "kept_modules"]
