import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.channel.text import (
    cut,
    cut_bytes,
    cut_utf16,
    headline_of,
    many_lines,
    one_line,
    sentence_of,
    short,
    utf16_length,
)
from tests.channel.messages import HOSTILE, hostile, message_of

anything = st.text(alphabet=st.characters(), max_size=80) | st.sampled_from(HOSTILE)


class TestOneLine:
    @given(anything)
    def test_holds_nothing_that_is_not_seen_and_can_be_encoded(self, text: str) -> None:
        found = one_line(text)

        assert not {unicodedata.category(each) for each in found} & {"Cc", "Cs", "Zl", "Zp"}
        assert not set(found) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068\u200e\u200f\u061c")
        found.encode()

    @pytest.mark.parametrize(
        "text",
        [
            "Höhe",
            "高さ",
            "\U0001f469\u200d\U0001f680",
            "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "e\u0301",
            "٣",
        ],
    )
    def test_keeps_every_script_and_composed_signs(self, text: str) -> None:
        assert one_line(text) == text

    def test_line_ends_stay_where_lines_are_wanted(self) -> None:
        assert many_lines("a\r\nb\nc\u2028d\re") == "a\nb\nc d e"


class TestCut:
    @given(anything, st.integers(0, 60))
    def test_never_exceeds_the_limit(self, text: str, most: int) -> None:
        text = one_line(text)

        assert len(cut(text, most)) <= most
        assert len(cut_bytes(text, most).encode()) <= most
        assert utf16_length(cut_utf16(text, most)) <= most
        assert utf16_length(text) == len(text.encode("utf-16-le")) // 2

    def test_what_is_short_enough_stays(self) -> None:
        assert cut("abc", 3) == cut_bytes("abc", 3) == cut_utf16("abc", 3) == "abc"

    def test_a_mark_is_not_left_without_its_letter(self) -> None:
        assert cut("abe\u0301fg", 4) == "ab…"
        assert cut("ab\U0001f469\u200d\U0001f680x", 5) == "ab\U0001f469…"


class TestWords:
    def test_are_never_empty(self) -> None:
        for text in ("", " ", "\u202e", "\x00"):
            assert sentence_of(hostile(text), 100) == headline_of(hostile(text), 100) == "Anomify"

    def test_come_from_what_is_closest(self) -> None:
        message = message_of(headline="", sentence="", subject="subject")
        assert sentence_of(message, 100) == headline_of(message, 100) == "subject"

    def test_a_very_long_name_is_shortened_quickly(self) -> None:
        assert len(short("\u202ex" * 1_000_000, 100)) == 100
