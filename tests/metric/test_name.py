from unicodedata import category, normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomify.metric.name import (
    NameRefused,
    canonical_name,
    composed_hash,
    composed_name,
    invisible_character,
    name_hash,
    parse_name,
    plain_or_labelled_name,
    with_label,
    words,
)

texts = st.text(max_size=12)
label_sets = st.dictionaries(texts, texts, max_size=4)


def named(name, **labels):
    return canonical_name([("__name__", name), *labels.items()])


class TestCanonicalName:
    def test_sorts_labels(self):
        assert named("up", job="node", instance="a:1") == 'up{instance="a:1",job="node"}'

    def test_is_the_plain_name_where_there_are_no_other_labels(self):
        assert named("up") == named("up", empty="") == "up"

    def test_escapes_what_would_end_a_value(self):
        assert named("m", a='say "hi"\\\n') == r'm{a="say \"hi\"\\\n"}'

    def test_quotes_names_that_are_not_classic(self):
        labels = [("__name__", "a.b"), ("k8s.io/app", "x")]
        assert canonical_name(labels) == 'a.b{"k8s.io/app"="x"}'
        assert named("od{d", a="1") == '{"od{d",a="1"}'

    def test_keeps_every_character_as_it_was_sent(self):
        assert named("cafe\u0301", a="e\u0301") == 'cafe\u0301{a="e\u0301"}'
        assert named("caf\u00e9", a="\u00e9") == 'caf\u00e9{a="\u00e9"}'

    def test_keeps_every_script(self):
        assert named("温度.東京", ort="Zürich 🌡") == '温度.東京{ort="Zürich 🌡"}'

    @pytest.mark.parametrize(
        ("labels", "reason"),
        [
            ([], "no __name__"),
            ([("job", "x")], "no __name__"),
            ([("__name__", "")], "no __name__"),
            ([("__name__", "m"), ("", "x")], "has no name"),
            ([("__name__", "m"), ("a", "1"), ("a", "2")], "'a' occurs twice"),
            ([("__name__", "m"), ("__name__", "n")], "occurs twice"),
            ([("__name__", "m\0")], "control"),
            ([("__name__", " m")], "space"),
            ([("__name__", "m"), ("a", "\x1b[31m")], "value of the label 'a'"),
            ([("__name__", "m"), ("a\u202e", "x")], "direction"),
            ([("__name__", "m"), ("a", "x" * 5000)], "5,007 bytes long; at most 4,096"),
            ([("__name__", "m" * 513)], "513 bytes long; at most 512"),
            ([("__name__", "m"), ("a", "x" * 10**6)], "at most 4,096 bytes"),
            ([("__name__", "m"), ("a", "\ud800")], "control"),
        ],
    )
    def test_refuses_a_label_set_with_the_reason(self, labels, reason):
        refused = canonical_name(labels)
        assert isinstance(refused, NameRefused)
        assert reason in refused.reason

    @given(label_sets)
    def test_reads_back_what_it_wrote(self, labels):
        spelled = canonical_name(labels.items())
        if isinstance(spelled, NameRefused):
            return
        assert canonical_name(parse_name(spelled)) == spelled
        assert plain_or_labelled_name(spelled) == spelled
        assert len(name_hash(spelled)) == 32

    @given(label_sets, st.randoms(use_true_random=False))
    def test_does_not_depend_on_the_order_of_labels(self, labels, randomness):
        pairs = list(labels.items())
        randomness.shuffle(pairs)
        ours, theirs = canonical_name(labels.items()), canonical_name(pairs)
        assert ours == theirs or isinstance(ours, NameRefused)

    @given(label_sets, label_sets)
    def test_never_gives_two_label_sets_one_name(self, one, other):
        named_sets = [{"__name__": "m"} | labels for labels in (one, other)]
        ours, theirs = (canonical_name(labels.items()) for labels in named_sets)
        if isinstance(ours, str) and ours == theirs:
            # A label without a value is an absent one.
            present = [{k: v for k, v in labels.items() if v} for labels in named_sets]
            assert present[0] == present[1]

    def test_refuses_bytes_that_are_not_utf_8(self):
        for labels in ([("__name__", "m"), ("a", "\udcff")], [("__name__", "m\udc80")]):
            assert "not valid UTF-8" in canonical_name(labels).reason


class TestPlainOrLabelledName:
    def test_sorts_labels_however_they_were_written(self):
        assert plain_or_labelled_name('up{ b="2", a="1", }') == 'up{a="1",b="2"}'

    def test_is_the_same_metric_as_by_labels(self):
        assert plain_or_labelled_name("up{}") == named("up") == plain_or_labelled_name("up")

    @pytest.mark.parametrize("name", ["a.b-c_d/e:f+g%=h", "with space", 'quo"te', "a" * 512])
    def test_takes_plain_names_as_they_are(self, name):
        assert plain_or_labelled_name(name) == name

    @pytest.mark.parametrize(
        "name",
        [
            *("", " ", "a\nb", "a\x7f", "a\u2066", "x" * 513, "é" * 257, "{" * 100_000),
            *("a}", "a{", "a{b}", "a{b=1}", 'a{b="1"', 'a{b="1" c="2"}', 'a{"b"}', 'a{b="1"}x'),
            '{a="1"}',
        ],
    )
    def test_refuses_others_with_a_reason(self, name):
        refused = plain_or_labelled_name(name)
        assert isinstance(refused, NameRefused)
        assert refused.reason

    def test_takes_no_blank_beyond_ascii_for_one_between_labels(self):
        assert plain_or_labelled_name('m{ a = "1" }') == 'm{a="1"}'
        assert isinstance(plain_or_labelled_name('m\u00a0{a="1"}'), NameRefused)
        assert plain_or_labelled_name('m{\u00a0a="1"}') != 'm{a="1"}'

    @given(st.text(max_size=40))
    def test_is_settled_after_one_time(self, text):
        once = plain_or_labelled_name(text)
        if isinstance(once, str):
            assert plain_or_labelled_name(once) == once


class TestWithLabel:
    def test_adds_to_a_plain_name(self):
        assert with_label("a.b", "_server_id", "7") == 'a.b{_server_id="7"}'

    def test_refuses_a_name_that_has_the_label_with_another_value(self):
        assert with_label('m{a="1"}', "a", "1") == 'm{a="1"}'
        refused = with_label('m{a="1",b="2"}', "a", "3")
        assert isinstance(refused, NameRefused)
        assert "send one of them" in refused.reason


class TestComposedName:
    @given(label_sets)
    def test_is_the_same_for_every_way_to_write_the_same_characters(self, labels):
        spelled = {
            form: canonical_name(
                [("__name__", "m"), *((normalize(form, k), normalize(form, v)) for k, v in pairs)]
            )
            for pairs in [labels.items()]
            for form in ("NFC", "NFD")
        }
        if all(isinstance(name, str) for name in spelled.values()):
            assert composed_name(spelled["NFD"]) == composed_name(spelled["NFC"])
            assert composed_name(spelled["NFC"]) == composed_name(composed_name(spelled["NFC"]))

    def test_has_a_hash_of_its_own_only_where_it_is_another_name(self):
        assert composed_hash("caf\u00e9") is None
        assert composed_hash("cafe\u0301") == name_hash("caf\u00e9")


class TestInvisibleCharacter:
    def test_finds_every_format_character_and_what_may_be_ignored(self):
        # Signs around digits, which are drawn: Unicode's Prepended_Concatenation_Mark.
        drawn = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
        for code in range(0x110000):
            if category(chr(code)) == "Cf" and code not in drawn:
                assert invisible_character(f"a{chr(code)}b"), hex(code)
        for code in (0x34F, 0x115F, 0x1160, 0x17B4, 0x180B, 0x2800, 0x3164, 0xFE00, 0xFE0F, 0xFFA0):
            assert invisible_character(f"a{chr(code)}b"), hex(code)

    def test_names_it(self):
        assert invisible_character("a\u200bb") == "U+200B (ZERO WIDTH SPACE)"
        assert invisible_character("\ufeffa") == "U+FEFF (ZERO WIDTH NO-BREAK SPACE)"

    def test_finds_none_in_what_people_write(self):
        for name in (
            "cpu.load",
            "温度.東京",
            "Zürich 🌡",
            "🌡️ heat",
            "cafe\u0301",
            "سرعة",
            "a\u0600",
        ):
            assert invisible_character(name) is None, name


class TestWords:
    def test_parts_names_and_gives_values_whole(self):
        name = 'node_cpu_seconds_total{instance="web.1:9100",mode="idle"}'
        assert words(name) == ["node", "cpu", "seconds", "total", "web.1:9100", "idle"]

    def test_parts_graphite_names(self):
        assert words("host.cpu.cpu-total.idle") == ["host", "cpu", "cpu-total", "idle"]

    @given(st.text(max_size=40))
    def test_takes_any_text(self, text):
        assert all(isinstance(word, str) for word in words(text))
