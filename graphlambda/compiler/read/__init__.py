"""The graph reader: the only place that knows Dask.

In: collections, expressions, graphs. Out: a draft of tasks, what is wanted of it, how results are put
together. Must not know packaging, AWS or time.
"""

from graphlambda.compiler.read.callbacks import callbacks_told
from graphlambda.compiler.read.collections import (
    Finish,
    Nested,
    Wanted,
    collections_in,
    meta_of,
    read_collections,
    read_graph,
    register,
)
from graphlambda.compiler.read.layers import Layers
from graphlambda.compiler.read.nodes import TaskWalker
from graphlambda.compiler.read.persisted import rebuilt
from graphlambda.compiler.read.settings import process_state

__all__ = [
    "Finish",
    "Layers",
    "Nested",
    "TaskWalker",
    "Wanted",
    "callbacks_told",
    "collections_in",
    "meta_of",
    "process_state",
    "read_collections",
    "read_graph",
    "rebuilt",
    "register",
]
