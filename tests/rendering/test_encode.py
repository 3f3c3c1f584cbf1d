import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from anomify.rendering.chart import Mark, PatternCurve
from anomify.rendering.draw import draw_chart
from anomify.rendering.encode import MAX_COLOURS, Drawing, encode_png, etag_of
from anomify.rendering.theme import DARK, LIGHT
from tests.rendering.charts import START, chart


def decoded(body):
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB")).astype(int)


def chunks(body):
    """Return the kinds of a PNG's chunks, each checked against its checksum."""
    kinds, at = [], 8
    while at < len(body):
        (length,) = struct.unpack_from(">I", body, at)
        kind, content = body[at + 4 : at + 8], body[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", body, at + 8 + length)
        assert zlib.crc32(kind + content) == checksum
        kinds.append(kind)
        at += 12 + length
    return kinds


class TestEncodePng:
    def test_keeps_the_picture_so_that_no_eye_sees_a_difference(self):
        drawing = draw_chart(chart(anomalies=(Mark(START, None, 0.7),)))
        distance = np.abs(decoded(encode_png(drawing)) - drawing.pixels[..., :3])
        assert distance.mean() < 0.3
        assert distance.max() < 64

    @pytest.mark.parametrize("theme", [LIGHT, DARK])
    def test_keeps_the_colours_of_the_theme_exact(self, theme):
        pixels = np.zeros((100, 200, 4), np.uint8)
        pixels[..., 3] = 255
        pixels[..., :3] = theme.background
        for row, colour in enumerate(theme.colours()):
            pixels[row * 8 : row * 8 + 5, :, :3] = colour
        result = decoded(encode_png(Drawing(pixels, theme)))
        np.testing.assert_array_equal(result, pixels[..., :3])

    def test_reduces_any_number_of_colours_to_a_palette(self):
        random = np.random.default_rng(3)
        pixels = random.integers(0, 256, (120, 200, 4), np.uint8)
        pixels[..., 3] = 255
        image = Image.open(io.BytesIO(encode_png(Drawing(pixels, LIGHT))))
        assert image.mode == "P"
        assert len(image.getcolors()) <= MAX_COLOURS

    def test_encodes_an_empty_drawing(self):
        pixels = np.full((100, 200, 4), 255, np.uint8)
        assert (decoded(encode_png(Drawing(pixels, LIGHT))) == 255).all()

    def test_contains_no_metadata(self):
        body = encode_png(draw_chart(chart()))
        assert chunks(body) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]

    def test_returns_the_same_bytes_again(self):
        assert encode_png(draw_chart(chart())) == encode_png(draw_chart(chart()))


class TestEtagOf:
    def test_is_the_same_for_an_equal_chart(self):
        assert etag_of(chart()) == etag_of(chart())
        assert etag_of(chart([])) == etag_of(chart([]))

    @pytest.mark.parametrize(
        "changes",
        [
            {"title": "another"},
            {"width": 801},
            {"scale": 2},
            {"theme": "dark"},
            {"timezone": "Asia/Tokyo"},
            {"display_legend": False},
            {"anomalies": (Mark(START, None, 0.5),)},
            {"values": np.zeros(61)},
            {"until_time": START + 1},
            {"notes": ("Like pattern 12.",)},
            {"pattern": PatternCurve(np.arange(3_000), np.zeros(3_000), "Pattern 12")},
        ],
    )
    def test_changes_with_everything_that_is_drawn(self, changes):
        assert etag_of(chart(**changes)) != etag_of(chart())

    def test_changes_with_any_value_of_a_long_pattern(self):
        values = np.zeros(3_000)
        changed = values.copy()
        changed[1_500] = 1.0
        tags = {
            etag_of(chart(pattern=PatternCurve(np.arange(3_000), some, "Pattern 12")))
            for some in (values, changed)
        }
        assert len(tags) == 2

    def test_accepts_any_title(self):
        assert etag_of(chart(title="\ud800 温度 😀"))
