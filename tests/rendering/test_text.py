import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.rendering.text import (
    ELLIPSIS,
    MAX_LINES,
    MISSING,
    drawable,
    fitted,
    text_bitmap,
    wrapped,
)


class TestLetters:
    @given(st.text(st.characters(codec=None, exclude_categories=()), max_size=60))
    def test_draws_any_text_without_a_warning(self, text):
        word = text_bitmap(text, 11.0)
        assert word.coverage.ndim == 2
        assert word.width >= 0

    @pytest.mark.parametrize(
        "text",
        ["$$\\frac{\\frac{a}{b}}{c}$$", "$", "\\", "a\nb\tc\x00d", "", " ", "\ud800", "\U0010ffff"],
    )
    def test_interprets_no_mathematics_or_markup(self, text):
        assert text_bitmap(text, 13.0, bold=True).width >= 0

    def test_returns_the_same_bitmap_again(self):
        first = text_bitmap("web.requests", 11.0).coverage.copy()
        text_bitmap("quite another word", 22.0)
        text_bitmap.cache_clear()
        np.testing.assert_array_equal(text_bitmap("web.requests", 11.0).coverage, first)

    def test_is_read_only(self):
        with pytest.raises(ValueError, match="read-only"):
            text_bitmap("shared", 11.0).coverage[0, 0] = 1

    def test_is_wider_for_longer_text(self):
        assert text_bitmap("wide wide", 11.0).width > text_bitmap("wide", 11.0).width


class TestDrawable:
    def test_cuts_at_120_characters(self):
        assert len(drawable("x" * 5_000)) == 120
        assert drawable("x" * 5_000).endswith(ELLIPSIS)
        assert drawable("x" * 120) == "x" * 120

    def test_shows_a_box_for_what_no_font_can_draw(self):
        assert drawable("a\U000e1000b") == f"a{MISSING}b"

    def test_removes_characters_without_a_shape_and_line_breaks(self):
        assert drawable("a\u200db\u202ec\nd") == "abc d"


class TestFitted:
    def test_returns_text_that_fits_unchanged(self):
        assert fitted("short", 500, 13.0) == "short"

    @pytest.mark.parametrize("width", [30, 75, 150, 300])
    def test_shortens_other_text_as_little_as_possible(self, width):
        text = "node_network_receive_bytes_total{device=eth0}"
        cut = fitted(text, width, 13.0)
        assert cut.endswith(ELLIPSIS)
        assert text_bitmap(cut, 13.0).width <= width
        longer = text[: len(cut)] + ELLIPSIS
        assert text_bitmap(longer, 13.0).width > width


class TestWrapped:
    @given(st.text(max_size=200), st.integers(20, 400))
    def test_has_few_lines_and_none_is_too_wide(self, text: str, width: int) -> None:
        lines = wrapped(text, width, 11.0)
        assert len(lines) <= MAX_LINES
        assert all(
            text_bitmap(line, 11.0).width <= width or line in {"", ELLIPSIS} for line in lines
        )

    def test_keeps_every_word_where_there_is_room(self) -> None:
        sentence = "Like the nightly job that was called expected, but twice as long"
        lines = wrapped(sentence, 200, 11.0)
        assert len(lines) > 1
        assert " ".join(lines) == sentence
        # On a wide picture, too, for one line has at most so many characters as are drawn.
        twice = f"{sentence} {sentence} as before"
        assert " ".join(wrapped(twice, 5_000, 11.0)) == twice

    def test_cuts_what_does_not_fit_into_the_last_line(self) -> None:
        assert wrapped("word " * 100, 100, 11.0)[-1].endswith(ELLIPSIS)
