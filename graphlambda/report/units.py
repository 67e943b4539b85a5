"""Numbers as people read them.

In: a number in the unit that its name carries. Out: short text. Must not know what it counts.
"""

from __future__ import annotations

_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def count(number: int, noun: str) -> str:
    """Return `1 task`, `1,000 tasks`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def size(number_bytes: int) -> str:
    """Return `812 B`, `1.2 MB`: decimal units, as AWS's limits for payloads are."""
    for unit_bytes, unit in _SIZES:
        if number_bytes >= unit_bytes:
            return f"{number_bytes / unit_bytes:.1f} {unit}"
    return f"{number_bytes} B"


def duration(seconds: float) -> str:
    """Return `45 ms`, `3.4 s`, `2 min 05 s`, `1 h 02 min`."""
    if round(seconds, 3) < 1:
        return f"{seconds * 1000:.0f} ms"
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def money(amount_usd: float) -> str:
    """Return `$12.30`, `$0.00012`: cents, or two digits that matter where there are no cents."""
    if amount_usd == 0 or amount_usd >= 1:
        return f"${amount_usd:,.2f}"
    return f"${_two_digits(amount_usd)}"


def _two_digits(amount: float) -> str:
    places = 2
    while places < 12 and round(amount, places) < 10 ** (1 - places):
        places += 1
    return f"{amount:.{places}f}"
