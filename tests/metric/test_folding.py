"""One rule for comparing texts without regard to case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.metric.folding import fold


class TestFold:
    @pytest.mark.parametrize(
        "alike",
        [
            ("cpu", "CPU", "Cpu", "CP\N{LATIN CAPITAL LETTER U}"),
            ("Straße", "STRASSE", "STRA\N{LATIN CAPITAL LETTER SHARP S}E", "strasse"),
            ("ΟΔΟΣ", "οδος", "οδο\u03c3"),
            ("İ", "I", "\u0131", "i", "I\u0307", "i\u0307\u0307"),
            ("Caf\u00c9", "cafe\u0301", "CAFE\u0301"),
            ("\N{KELVIN SIGN}", "k"),
            ("ᾳ", "\u0391\u0399", "\u03b1\u03b9"),
        ],
    )
    def test_makes_what_differs_in_case_or_spelling_the_same(self, alike):
        assert len({fold(text) for text in alike}) == 1

    def test_keeps_apart_what_is_not_the_same_letter(self):
        assert len({fold(text) for text in ("cafe", "café", "o", "ö", "ø", "1", "²", "2")}) == 8

    @given(st.text() | st.text("i\u0131İI\u0307\u0345\u0328ΐßﬁΣςé", max_size=8))
    def test_changes_nothing_that_was_folded(self, text):
        folded = fold(text)
        assert fold(folded) == folded
        assert fold(text.lower().upper()) == fold(text.upper())
