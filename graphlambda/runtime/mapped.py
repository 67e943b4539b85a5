"""Large values as private mappings of their files, each verified once for as long as nobody writes to its file.

In: an open file and what the system tells of it; what a frame was signed with. Out: memory that is the caller's; a
verified frame. Must not let anything be un-pickled that was not verified: the pickle in a mapping becomes the one that
was, whatever its file holds by then.

Whoever could write to a file and hide that could write to it while it is mapped: buffers are data, and no more is at stake.
"""

from __future__ import annotations

from mmap import MAP_PRIVATE, PROT_READ, PROT_WRITE, mmap

from .frame import pickle_end, settled, verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import TypeAlias

    State: TypeAlias = tuple[int, ...]
    """Which file, how large, and when it last changed."""

MOST = 1_000
"""Files that are remembered, those that were verified last."""

MOST_BYTES = 4_096
"""Of a frame's pickle and what stands before it; a frame that has more there is verified each time."""

_verified: dict[tuple[bytes, bytes, State], bytes] = {}
"""By key, context and state: a frame as far as its pickle goes."""


def mapped(descriptor: int, told: os.stat_result) -> memoryview:
    """Return a file's content in private memory: a page is copied when it is first written to."""
    mapping = Mapping(descriptor, told.st_size, flags=MAP_PRIVATE, prot=PROT_READ | PROT_WRITE)
    mapping.state = told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns
    return settled(memoryview(mapping))


class Mapping(mmap):
    """A private mapping of a file."""

    state: State

    def verified(self, frame: memoryview, *, key: bytes, context: bytes) -> memoryview:
        """Return the frame in this mapping, as `frame.verify` does, without reading it where its file was verified before.

        Raises:
            FrameError: the frame is damaged, or belongs to another key, run or name.
        """
        place = key, context, self.state
        if (start := _verified.get(place)) is not None:
            frame[: len(start)] = start
            return frame
        verify(frame, key=key, context=context)
        if (end := pickle_end(frame)) <= MOST_BYTES:
            _verified[place] = bytes(frame[:end])
        if len(_verified) > MOST:
            del _verified[next(iter(_verified))]
        return frame
