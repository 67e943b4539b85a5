"""A frame gives back what went in, to whom it is for, in memory of its own."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import graphlambda
from graphlambda.runtime import frame, gmac
from graphlambda.runtime.faults import FrameError, UnshippableValueError
from graphlambda.runtime.modules import modules_of

KEY, CONTEXT = bytes(range(32)), b"run-1/v-1"

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(max_size=3000),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
NATIVE = npst.scalar_dtypes().map(lambda dtype: dtype.newbyteorder("="))  # NumPy turns empty foreign arrays
ARRAYS = npst.arrays(NATIVE, npst.array_shapes(max_dims=3, min_side=0, max_side=40))


def there_and_back(value: Any, **how: Any) -> Any:
    return frame.decode(frame.encode(value, key=KEY, context=CONTEXT, **how), key=KEY, context=CONTEXT)


@settings(deadline=None)  # a machine under load is no failure
@given(VALUES)
def test_any_value_comes_back(value: Any) -> None:
    assert there_and_back(value) == value


@settings(deadline=None)
@given(ARRAYS, st.booleans())
def test_any_array_comes_back_writable(array: np.ndarray[Any, Any], fortran: bool) -> None:
    sent = np.asfortranarray(array) if fortran else array
    back = there_and_back([sent, sent.T])
    for got, wanted in zip(back, (sent, sent.T), strict=True):
        np.testing.assert_array_equal(got, wanted)
        assert got.flags.writeable
        assert got.dtype == wanted.dtype


@pytest.mark.parametrize("rows", [0, 3, 5000])
def test_tables_come_back(rows: int) -> None:
    table = pd.DataFrame(
        {
            "int": np.arange(rows),
            "text": [f"row {i}" for i in range(rows)],
            "object": [[i] for i in range(rows)],
            "when": pd.date_range("2026-01-01", periods=rows, tz="Europe/Berlin"),
            "kind": pd.Categorical(["a"] * rows),
            "arrow": pd.array([str(i) for i in range(rows)], dtype="string[pyarrow]"),
        }
    )
    back = there_and_back(table)
    pd.testing.assert_frame_equal(back, table)
    back.loc[:, "int"] = 7
    arrow = pa.Table.from_pandas(table)
    assert there_and_back(arrow).equals(arrow)


def test_decoded_arrays_never_share_memory() -> None:
    sent = np.arange(100_000)
    encoded = frame.encode(sent, key=KEY, context=CONTEXT)
    one, two = (frame.decode(encoded, key=KEY, context=CONTEXT) for _ in range(2))
    one[:] = -1
    np.testing.assert_array_equal(two, np.arange(100_000))
    np.testing.assert_array_equal(sent, np.arange(100_000))


def test_a_writable_frame_becomes_the_arrays_memory() -> None:
    memory = frame.copied(frame.encode(np.arange(100_000), key=KEY, context=CONTEXT))
    array = frame.decode(memory, key=KEY, context=CONTEXT)
    assert np.shares_memory(array, np.frombuffer(memory, np.uint8))
    assert array.ctypes.data % 64 == 0


def test_encoding_does_not_copy_a_values_buffers() -> None:
    array = np.arange(100_000)
    parts = frame.encode_parts(array, key=KEY, context=CONTEXT)
    assert any(np.shares_memory(array, np.frombuffer(part, np.uint8)) for part in parts)
    assert frame.size_of(parts) == len(b"".join(parts))


def test_one_value_has_one_frame() -> None:
    value = {"a": [1, 2.5], "b": np.arange(3)}
    assert frame.encode(value, key=KEY, context=CONTEXT) == frame.encode(value, key=KEY, context=CONTEXT)


class Explosive:
    """Says so when it is un-pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return sys.exit, ("un-pickled",)


@settings(deadline=None)
@given(st.data())
def test_nothing_is_unpickled_from_a_frame_that_was_changed(data: st.DataObject) -> None:
    encoded = bytearray(frame.encode([Explosive(), np.arange(1000)], key=KEY, context=CONTEXT))
    at = data.draw(st.integers(0, len(encoded) - 1))
    if data.draw(st.booleans()):
        encoded[at] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del encoded[at:]
    with pytest.raises(FrameError, match="run-1/v-1"):
        frame.decode(encoded, key=KEY, context=CONTEXT)


@pytest.mark.parametrize(
    ("key", "context"),
    [(bytes(32), CONTEXT), (KEY, b"run-2/v-1"), (KEY, b"run-1/v-2"), (KEY, b"run-1/v-"), (KEY, b"")],
)
def test_a_frame_is_for_one_key_run_and_name(key: bytes, context: bytes) -> None:
    with pytest.raises(FrameError):
        frame.decode(frame.encode(Explosive(), key=KEY, context=CONTEXT), key=key, context=context)


def test_a_frame_of_another_version_is_named() -> None:
    signed = b"GLF9" + frame.encode(1, key=KEY, context=CONTEXT)[frame.SIGNATURE_BYTES + 4 :]
    signature = blake2b(
        len(CONTEXT).to_bytes(4, "little") + CONTEXT + signed, key=KEY, digest_size=32
    ).digest()
    with pytest.raises(FrameError, match="b'GLF9' instead of b'GLF1' or b'GLF2'"):
        frame.decode(signature + signed, key=KEY, context=CONTEXT)


class TestLargeFrames:
    VALUE = (Explosive(), np.arange(40_000), b"x" * 100_000)
    ENCODED = frame.encode(VALUE, key=KEY, context=CONTEXT)

    @settings(deadline=None)
    @given(st.data())
    def test_nothing_is_unpickled_from_one_that_was_changed(self, data: st.DataObject) -> None:
        encoded = bytearray(self.ENCODED)
        at = data.draw(st.integers(0, len(encoded) - 1) | st.integers(0, 200))
        if data.draw(st.booleans()):
            encoded[at] ^= 1 << data.draw(st.integers(0, 7))
        else:
            del encoded[at:]
        with pytest.raises(FrameError, match="run-1/v-1"):
            frame.decode(encoded, key=KEY, context=CONTEXT)

    @pytest.mark.parametrize(
        ("key", "context"), [(bytes(32), CONTEXT), (KEY, b"run-2/v-1"), (KEY, b"run-1/v-2"), (KEY, b"")]
    )
    def test_one_is_for_one_key_run_and_name(self, key: bytes, context: bytes) -> None:
        with pytest.raises(FrameError):
            frame.decode(self.ENCODED, key=key, context=context)

    def test_a_signature_never_signs_another_frame(self) -> None:
        """Each has a key of its own, or two tags would tell enough to forge a third."""
        assert frame.encode(self.VALUE, key=KEY, context=CONTEXT)[:32] != self.ENCODED[:32]

    def test_a_reader_without_openssl_is_sent_what_it_can_verify(self) -> None:
        slow = b"".join(frame.encode_parts(self.VALUE[1:], key=KEY, context=CONTEXT, gmac=False))
        program = (
            "import sys; sys.modules['_hashlib'] = None\n"
            "from graphlambda.runtime import frame\n"
            "assert not frame.knows_gmac()\n"
            "slow, fast = (open(path, 'rb').read() for path in sys.argv[1:])\n"
            f"print(len(frame.decode(slow, key={KEY!r}, context={CONTEXT!r})[1]))\n"
            f"frame.decode(fast, key={KEY!r}, context={CONTEXT!r})"
        )
        with tempfile.NamedTemporaryFile() as one, tempfile.NamedTemporaryFile() as other:
            Path(one.name).write_bytes(slow)
            Path(other.name).write_bytes(self.ENCODED)
            done = subprocess.run(
                [sys.executable, "-c", STAND_IN + program, one.name, other.name],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        assert done.stdout == "100000\n"
        assert done.stderr.endswith("this Python's OpenSSL is out of reach; use another build\n")


STAND_IN = f"""
import sys, types
package = types.ModuleType("graphlambda")
package.__path__ = [{str(Path(graphlambda.__path__[0]))!r}]
sys.modules["graphlambda"] = package
"""


@settings(deadline=None)
@given(st.lists(st.binary(max_size=100)), st.binary(min_size=32, max_size=32))
def test_our_gmac_is_that_of_another_implementation(parts: list[bytes], key: bytes) -> None:
    assert gmac.tag_of(key, parts) == AESGCM(key).encrypt(bytes(12), b"", b"".join(parts))


def test_what_pickle_refuses_goes_by_value() -> None:
    offset = 3
    assert there_and_back([lambda x: x + offset])[0](4) == 7
    assert there_and_back(lambda x: x + offset, dumps=cloudpickle.dumps)(4) == 7


@pytest.mark.parametrize("how", [{}, {"dumps": pickle.dumps}, {"dumps": cloudpickle.dumps}])
def test_what_cannot_travel_is_named(how: dict[str, Any]) -> None:
    with pytest.raises(
        UnshippableValueError, match=r"a value of type builtins\.generator cannot be pickled: TypeError"
    ):
        there_and_back((i for i in range(3)), **how)


@pytest.mark.parametrize(
    ("value", "modules"),
    [
        (1, []),
        ([{"numpy": "core"}], []),
        (np.arange(3), ["numpy"]),
        (np.arange(3000), ["numpy"]),
        (pd.DataFrame(np.ones((2, 2))), ["numpy", "pandas"]),
        (pa.table({"a": [1]}), ["pyarrow"]),
        (np.float64(1.0), ["numpy"]),
        (there_and_back, ["test_frame"]),
    ],
)
def test_the_modules_that_unpickling_imports_are_named(value: Any, modules: list[str]) -> None:
    assert modules_of(frame.encode_parts(value, key=KEY, context=CONTEXT)) == modules
