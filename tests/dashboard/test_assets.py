"""Templates, styles and scripts: nothing inline or from elsewhere, vendored files unchanged."""

import hashlib
import re
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

    def test_every_file_says_its_licence_and_where_it_came_from(self):
        for _, licence, source in locked().values():
            assert licence in {"MIT", "Apache-2.0"}
            assert re.fullmatch(r"[\w.-]+@\d+\.\d+\.\d+ \(npm\)", source)

    def test_every_library_brings_its_licence(self):
        libraries = [path for path in VENDOR.iterdir() if path.is_dir()]
        assert all((library / "LICENSE").exists() for library in libraries)


class TestTemplates:
    @pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
    def test_nothing_is_inline(self, path):
        text = path.read_text()
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", text)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))

    @pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
    def test_nothing_escapes_the_escaping(self, path):
        assert not re.search(r"\|\s*safe\b|autoescape false", path.read_text())

    @pytest.mark.parametrize("path", [*TEMPLATES, *OWN], ids=lambda path: path.name)
    def test_nothing_comes_from_elsewhere(self, path):
        found = re.findall(r"(?:https?:)?//[\w.]+\.\w+[^\s\"']*", path.read_text())
        # Names of namespaces, and of no server at all.
        harmless = re.compile(r"w3\.org|^https://anomify\.example\b")
        assert [address for address in found if not harmless.search(address)] == []

    @pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
    def test_what_is_extended_comes_first(self, path):
        text = path.read_text()
        assert "{% extends" not in text or text.startswith("{% extends")


class TestScripts:
    @pytest.mark.parametrize(
        "path", [path for path in OWN if path.suffix == ".js"], ids=lambda path: path.name
    )
    def test_none_makes_markup_of_text(self, path):
        assert not re.search(
            r"innerHTML|outerHTML\s*=|insertAdjacentHTML|document\.write|eval\(|new Function",
            path.read_text(),
        )

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

    @pytest.mark.parametrize(
        "ink", ["ink", "ink-soft", "ink-muted", "accent-text", "high", "medium", "good", "bad"]
    )
    def test_text_can_be_read_wherever_it_stands(self, colours, ink):
        found = {ground: contrast(colours[ink], colours[ground]) for ground in BACKGROUNDS}
        assert {ground: ratio for ground, ratio in found.items() if ratio < 4.5} == {}

    @pytest.mark.parametrize("tone", ["high", "medium", "low", "good", "bad"])
    def test_a_tone_can_be_read_on_its_own_ground(self, colours, tone):
        assert contrast(colours[tone], colours[f"{tone}-soft"]) >= 4.5

    def test_a_button_can_be_read(self, colours):
        for accent in ("accent", "accent-strong"):
            assert contrast(colours["accent-ink"], colours[accent]) >= 4.5

    @pytest.mark.parametrize("mark", ["field-line", "chart-value", "chart-anomaly", "accent"])
    def test_lines_can_be_seen(self, colours, mark):
        assert contrast(colours[mark], colours["surface"]) >= 3
