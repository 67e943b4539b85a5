"""What goes from a namespace, and who has which."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from graphlambda.runtime.files import checked
from graphlambda.store.namespaces import KEPT_S, Held, excess, namespace_run

HELD = st.dictionaries(
    st.text("abc", min_size=1), st.builds(Held, st.integers(0, 100), st.floats(0, 2 * KEPT_S))
)


def test_a_namespace_is_one_name_under_one_root_key() -> None:
    runs = {namespace_run(root, name) for root in (bytes(32), bytes([1] * 32)) for name in ("a", "b")}
    assert len(runs) == 4
    assert runs == {checked(run) for run in runs}
    assert namespace_run(bytes(32), "a") in runs


@given(HELD, st.integers(0, 300))
def test_what_stays_is_within_bounds_and_used_later_than_what_goes(held: dict[str, Held], bound: int) -> None:
    going = set(excess(held, bound))
    stays = [value for name, value in held.items() if name not in going]
    fresh = sorted(value.age_s for name, value in held.items() if name in going and value.age_s <= KEPT_S)
    assert sum(value.size_bytes for value in stays) <= bound
    assert all(value.age_s <= KEPT_S for value in stays)
    assert not fresh or all(value.age_s <= fresh[0] for value in stays)


def test_nothing_goes_that_has_room_and_was_used() -> None:
    held = {"a": Held(10, 5.0), "b": Held(10, 50.0), "c": Held(10, KEPT_S + 1)}
    assert (excess(held, 20), excess(held, 19), excess(held, 0)) == (["c"], ["c", "b"], ["c", "b", "a"])
