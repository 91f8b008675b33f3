"""Shares in words that nobody has to convert: 6 of 10, 5 of 100, none of 84."""

from __future__ import annotations

FEW_ITEMS = 50
"""Below this the 95 % interval of a share reaches more than 14 points to either side of one half."""
_COUNTED = 20  # so few items are counted, not turned into a share of 10 or 100


def share_in_words(count: int, total: int) -> str:
    """Part of a whole: counted where the whole is small, else of 10, of 100, or fewer than 1 of 100."""
    if count == 0:
        return f"none of {total}"
    if count == total:
        return f"all {total}"
    if total <= _COUNTED:
        return f"{count} of {total}"
    tenths = round(10 * count / total)
    if 1 <= tenths <= 9 and abs(count / total - tenths / 10) <= 0.02:
        return f"{tenths} of 10"
    hundredths = round(100 * count / total)
    if hundredths == 0:
        return f"fewer than 1 of 100 ({count} of {total:,})"
    return f"{min(hundredths, 99)} of 100"
