"""The shapes of request and reply, and the names of values in a store.

Both are JSON, since Lambda takes nothing else. Frames (see `frame`) stand in them as base64 text.

Request::

    {"v": 3,
     "run": "5f0c…",                      # the run's id
     "operation": "9a1e…",                # the id of the operation that the function must hold
     "keys": {"5f0c…": "<base64>"},       # by run id: the key that its frames are signed with (32 bytes)
     "store": {"kind": "file", "root": "/…"},
     "inline_bytes": 65536,               # a value whose frame is at most this large rides in the reply
     "reply_bytes": 4000000,              # all inline frames of the reply together
     "gmac": true,                        # whether the client can verify GMAC; see `frame`
     "constants": {"id": "…", "frame": "<base64>"},    # "frame" absent: read value "c-<id>" of the store
     "settings": {"id": "…", "frame": "<base64>"},     # process state that the client's run carries
     "batch": "<base64>" | {"stored": "b-<n>"}}        # the tasks, as below

`constants` decodes to a dict {port: value}. `batch` decodes to (tasks, columns, inline, picks, unsent, shared): tasks is a
list of task ids, and each of `columns` says for one port what every task that is not in `picks` binds to it:

    ("c",)              the run constant of that port
    ("l", [value, …])   a literal a task
    ("i", [ref, …])     one value a task
    ("g", [nested, …])  nested lists of refs
    ("m", [binding, …]) of tasks that differ in kind: ("l", value), ("i", ref) or ("g", nested)

A ref is an int (a value of this run) or a pair (run id, int) (a value that another run keeps). `inline`
maps refs to frames; a ref that is not in it is read from the store. `picks` tells, by task, of projections: which of
`picking.PICKERS` picks, the ref of what it picks from, the literals by which, and how large the part may be to ride in
the reply. Our runtime picks, whatever the function's operation is. What a task of `unsent` makes, only this batch reads:
projections alone, or tasks alone. It need not be sent. `shared` is None, or (run, seconds, {task: number}): what these
tasks make, and does not ride in the reply, is left in that run under its number, for later runs, where making it took so
many seconds more than reading it will.

Reply::

    {"v": 3, "environment": "…", "cold": true,
     "had_waited": false,                  # whether it was started before anybody asked: provisioned concurrency
     "at_s": 1790000000.0,                 # when the first task started, in seconds since the epoch
     "took_s": 0.34,                       # all of it, with the environment's start where that was cold
     "peak_mb": 61.5,                      # of the environment, at the end of the batch
     "traffic": [2, 3, 0],                 # what the store was asked: S3's writes and reads, ECPUs of a cache
     "tasks": [17, 19, 18],                # that were reached, in order; so are the three columns:
     "started_s": [0.0, 0.01, 0.02],       # after `at_s`
     "seconds": [0.01, 0.01, 0.2],
     "bytes": [812, 70000, 0],             # of the value's frame
     "reading_s": 0.01, "sending_s": 0.02,   # what reading all tasks' inputs, and sending their values, took of that
     "inline": "<base64>",                 # the frames that ride in the reply, one after the other
     "stored": [19],                       # tasks whose values were stored instead, under their names
     "shared": [],                         # tasks whose values were left in the run of `shared`
     "unsent": [],                         # tasks whose values are nowhere: whoever reads them is in this reply
     "left": [],                           # projections that are for another invocation: what they pick from was
                                           # not made, or picking takes so long that it is work
     "ended": "" | "cancelled" | "dropped" | "its client is lost"   # why later tasks of the batch were not begun
              | "the reply is full",
     "modules": {"17": ["pandas"]},        # what un-pickling a value imports, where anything
     "outputs": {"17": {"stdout": "…", "stderr": "…", "warnings": [["category", "message"], …],
                        "logs": [["logger", level, "message"], …], "dropped_bytes": 0}},    # where anything
     "errors": {"18": {                    # of tasks that failed
          "kind": "user" | "missing_module" | "missing_path" | "store" | "lost" | "damaged" | "authentication"
                  | "unshippable" | "unpacking",
          "type": "builtins.ValueError", "message": "…", "frame": "<base64>" | null,
          "module": "…",                      # of missing_module only
          "path": "…",                        # of missing_path only
          "run": "…", "name": "v-17",         # of lost and damaged only: which value
          "left_out": "…",                    # of missing_path only: why a file of a distribution is not there
          "frames": [["<fingerprint>" | "<file inside the artifact>", instruction offset, line or 0, "name"], …]}}}

A task that was not reached (an earlier one ended the environment, or the run has `ended`) is not among `tasks`. A failed task may have
output, too. From the 17th error of a reply on, they come without frame and frames. A batch that cannot be
read at all raises: Lambda's `errorType` is then `FrameError`, `ValueStoreError` or
`LostValueError`.

A request to drop a run, which any function takes (see `janitor`), and its reply::

    {"v": 3, "drop": {"run": "5f0c…", "store": {"kind": "valkey", …}, "seconds": 10.0}}
    {"v": 3, "left": 0}                    # names that were not reached in that time

Each frame is signed for `context(run, name)`, where name is `v-<value>` for a value (inline or stored),
`s-<id>` for settings and `e-<task>` for an exception; those that only one operation is sent, for
`context(run, name, operation)`: `c-<id>` for constants, `b-<n>` for a stored batch, `batch` for one in the request.
"""

from __future__ import annotations

VERSION = 3

REQUEST_BYTES = 6_291_456
REPLY_BYTES = 6_291_556
"""What Lambda lets pass of a request, and of a reply: JSON as it is sent, its base64 and escapes included."""

FULL = "the reply is full"
"""Why a function began no more tasks, though its run goes on: `ended` of its reply."""

INLINE_BATCH = "batch"
"""The name that a batch in the request is signed for."""


def value_name(value: int) -> str:
    """Return the name of a task's or data object's value within its run's folder of a store."""
    return f"v-{value}"


def constants_name(digest: str) -> str:
    """Return the name of an operation's run constants."""
    return f"c-{digest}"


def batch_name(number: int) -> str:
    """Return the name of a batch that is too large for a request."""
    return f"b-{number}"


def settings_name(digest: str) -> str:
    """Return the name of a run's process state."""
    return f"s-{digest}"


def error_name(task: int) -> str:
    """Return the name that the frame of a task's exception is signed for; it is never stored."""
    return f"e-{task}"


def context(run: str, name: str, operation: str = "") -> bytes:
    """Return what a frame's signature binds: the run, whom it is for if not for all, and the name of what is in it."""
    return (f"{run}/{operation}/{name}" if operation else f"{run}/{name}").encode()
