"""Templates, styles and scripts: nothing inline or from elsewhere, vendored files unchanged."""

import hashlib
import re
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "static" / "vendor"
TEMPLATES = sorted(
    page for place in ("dashboard", "doc") for page in (ROOT / "templates" / place).rglob("*.html")
)
OWN = [path for kind in ("css", "js") for path in sorted((ROOT / "static" / kind).glob("*"))]
PAGE_BYTES_MAX = 250_000


def locked() -> dict[str, tuple[str, str, str]]:
    lines = (VENDOR / "vendor.lock").read_text().splitlines()[1:]
    rows = [[cell.strip() for cell in line.split("|")] for line in lines]
    return {file: (sha256, licence, source) for file, sha256, licence, source in rows}


class TestVendored:
    def test_every_file_is_locked_and_unchanged(self):
        found = {
            str(path.relative_to(VENDOR)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in VENDOR.rglob("*")
            if path.is_file() and path.name != "vendor.lock"
        }
        assert found == {file: sha256 for file, (sha256, _, _) in locked().items()}

    def test_every_file_states_its_licence_and_origin(self):
        for _, licence, source in locked().values():
            assert licence in {"MIT", "Apache-2.0"}
            assert re.fullmatch(r"[\w.-]+@\d+\.\d+\.\d+ \(npm\)", source)

    def test_every_library_brings_its_licence(self):
        libraries = [path for path in VENDOR.iterdir() if path.is_dir()]
        assert all((library / "LICENSE").exists() for library in libraries)


def files_that(is_wrong: Callable[[str], object], paths: Iterable[Path]) -> list[str]:
    """Return the files whose text is wrong."""
    return [str(path.relative_to(ROOT)) for path in paths if is_wrong(path.read_text())]


class TestTemplates:
    def test_have_no_inline_styles_or_scripts(self):
        inline = re.compile(r"<style|\sstyle=|\son\w+=|javascript:")
        assert files_that(inline.search, TEMPLATES) == []
        script_without_source = re.compile(r"<script(?![^>]*src=)[^>]*>")
        assert files_that(script_without_source.search, TEMPLATES) == []

    def test_escape_every_value(self):
        unescaped = re.compile(r"\|\s*safe\b|autoescape false")
        assert files_that(unescaped.search, TEMPLATES) == []

    def test_load_nothing_from_other_servers(self):
        # Names of namespaces, of no server at all, of this machine, and a link to read on.
        harmless = re.compile(
            r"w3\.org|^https://(?:[\w.]+\.)?\w+\.example\b|^http://127\.0\.0\.1\b"
            r"|^https://www\.standardwebhooks\.com/"
        )

        def loads_from_elsewhere(text: str) -> bool:
            found = re.findall(r"(?:https?:)?//[\w.]+\.\w+[^\s\"']*", text)
            return any(not harmless.search(address) for address in found)

        assert files_that(loads_from_elsewhere, [*TEMPLATES, *OWN]) == []

    def test_begin_with_extends_where_they_extend(self):
        assert (
            files_that(
                lambda text: "{% extends" in text and not text.startswith("{% extends"), TEMPLATES
            )
            == []
        )


class TestScripts:
    def test_none_makes_markup_of_text(self):
        markup = re.compile(
            r"innerHTML|outerHTML\s*=|insertAdjacentHTML|document\.write|eval\(|new Function"
        )
        assert files_that(markup.search, [path for path in OWN if path.suffix == ".js"]) == []

    def test_all_that_a_page_loads_is_small(self):
        # The reference of the API is one page, and a large library.
        everything = [
            path
            for path in (ROOT / "static").rglob("*")
            if path.is_file() and "swagger-ui" not in str(path)
        ]
        assert sum(path.stat().st_size for path in everything) < PAGE_BYTES_MAX


TOKEN = re.compile(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\);")
BACKGROUNDS = ("page", "surface", "surface-sunken", "surface-raised", "hover", "selected")


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(share * c for share, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
class TestContrast:
    """WCAG AA: 4.5 for text, 3 for what shows the edges of a field or a line of the chart."""

    @pytest.fixture
    def colours(self, theme):
        text = (ROOT / "static" / "css" / "tokens.css").read_text()
        return {name: pair[theme] for name, *pair in TOKEN.findall(text)}

    @staticmethod
    def too_close(colours, pairs, ratio_min):
        """Return the pairs of names whose colours contrast less than they must."""
        return {
            (one, other): found
            for one, other in pairs
            if (found := contrast(colours[one], colours[other])) < ratio_min
        }

    def test_text_can_be_read_on_every_background(self, colours):
        inks = ("ink", "ink-soft", "ink-muted", "accent-text", "high", "medium", "good", "bad")
        assert self.too_close(colours, product(inks, BACKGROUNDS), 4.5) == {}

    def test_a_tone_can_be_read_on_its_own_background(self, colours):
        tones = ("high", "medium", "low", "good", "bad")
        assert self.too_close(colours, [(tone, f"{tone}-soft") for tone in tones], 4.5) == {}

    def test_a_button_can_be_read(self, colours):
        accents = ("accent", "accent-strong")
        assert self.too_close(colours, [("accent-ink", accent) for accent in accents], 4.5) == {}

    def test_lines_can_be_seen(self, colours):
        marks = ("field-line", "chart-value", "chart-anomaly", "accent")
        assert self.too_close(colours, [(mark, "surface") for mark in marks], 3) == {}
