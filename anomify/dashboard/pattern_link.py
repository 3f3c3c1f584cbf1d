"""What a pattern is called on pages, and the address of its page."""

from typing import Final

from anomify.pattern.model import ECHO_LABEL, Pattern

PATTERN_PATH: Final = "/ui/pattern"


def pattern_url(pattern_id: int) -> str:
    """Return the address of the page of a pattern."""
    return f"{PATTERN_PATH}/{pattern_id}"


def name_of(pattern: Pattern) -> str:
    """Return what a pattern is called on pages: its label, or that it has none."""
    if pattern.label and pattern.label != ECHO_LABEL:
        return f"\N{LEFT DOUBLE QUOTATION MARK}{pattern.label}\N{RIGHT DOUBLE QUOTATION MARK}"
    return f"Pattern {pattern.id}"
