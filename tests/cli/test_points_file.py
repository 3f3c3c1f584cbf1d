"""Tables as many programs write them: read as they were meant, or refused, never otherwise."""

import gzip
import math
import random
from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anomify.cli.cells import Decimal
from anomify.cli.points_file import UnreadableFileError, read_points
from anomify.cli.reading_options import Choices

START_MS = 1_795_867_200_000  # 2026-11-28 12:00 UTC
START = "2026-11-28T12:00:00Z"


@pytest.fixture
def read(tmp_path):
    def of(content, name="in.csv", **choices):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_points(path, Choices(**choices), with_stamps=True)

    return of


def refusal(read, content, **more):
    with pytest.raises(UnreadableFileError) as refused:
        read(content, **more)
    return refused.value.message


def pairs(points):
    order = points.order()
    times, values = points.times[order].tolist(), points.values[order].tolist()
    return [(t, None if math.isnan(v) else v) for t, v in zip(times, values, strict=True)]


TIMES = {
    "s": lambda ms: str(ms // 1000),
    "s.": lambda ms: f"{ms / 1000:.3f}",
    "ms": str,
    "us": lambda ms: str(ms * 1000),
    "ns": lambda ms: str(ms * 1_000_000),
    "z": lambda ms: f"{at(ms):%Y-%m-%dT%H:%M:%S}Z",
    "naive": lambda ms: f"{at(ms):%Y-%m-%d %H:%M:%S}",
    "offset": lambda ms: f"{at(ms):%Y-%m-%d %H:%M:%S} +0000 UTC",
    "slashed": lambda ms: f"{at(ms):%Y/%m/%d %H:%M}",
    "dotted": lambda ms: f"{at(ms):%d.%m.%Y %H:%M:%S}",
    "day/month": lambda ms: f"{at(ms):%d/%m/%Y %H:%M}",
    "month/day": lambda ms: f"{at(ms):%m/%d/%Y %I:%M:%S %p}",
    "compact": lambda ms: f"{at(ms):%Y%m%d%H%M%S}",
    "compact minutes": lambda ms: f"{at(ms):%Y%m%d%H%M}",
    "two columns": lambda ms: (f"{at(ms):%Y-%m-%d}", f"{at(ms):%H:%M}"),
}


def at(ms):
    return datetime.fromtimestamp(ms / 1000, UTC)


def number(value, decimal, thousands):
    whole, _, decimals = f"{abs(value):.3f}".rstrip("0").partition(".")
    grouped = f"{int(whole):,}".replace(",", thousands)
    return ("-" if value < 0 else "") + grouped + (decimal + decimals if decimals else "")


@st.composite
def tables(draw):
    """Draw a series and a table that says it in the dialect of some program."""
    count = draw(st.integers(3, 12))
    step = draw(st.sampled_from([60_000, 3_600_000, 86_400_000]))
    times = [START_MS + 60_000 * draw(st.integers(0, 10_000)) + step * i for i in range(count)]
    times = sorted(set(times))
    scale = draw(st.sampled_from([1, 10, 100, 1000]))
    drawn = st.integers(-5_000_000, 5_000_000).map(lambda whole: whole / scale)
    values = [draw(st.none() | drawn) for _ in times]
    separator = draw(st.sampled_from(",;\t|"))
    decimal = draw(st.sampled_from(".,"))
    thousands = draw(st.sampled_from(["", "", " ", "\u00a0", "'", "." if decimal == "," else ","]))
    is_quoted = draw(st.booleans())
    written = TIMES[draw(st.sampled_from(sorted(TIMES)))]
    missing = draw(st.sampled_from(["", "NaN", "null"]))
    extra = draw(st.booleans())
    rows = []
    for time, value in zip(times, values, strict=True):
        result = written(time)
        cells = [*result] if isinstance(result, tuple) else [result]
        cells.append(missing if value is None else number(value, decimal, thousands))
        cells += ["web"] * extra
        rows.append(separator.join(f'"{cell}"' if is_quoted else cell for cell in cells))
    is_split = isinstance(written(START_MS), tuple)
    header = ["date", "time"] if is_split else [draw(st.sampled_from(["ts", "Time", "when", "x"]))]
    header += [draw(st.sampled_from(["value", "_value", "load"]))] + ["host"] * extra
    order = draw(st.sampled_from(["up", "down", "mixed"]))
    if order == "down":
        rows.reverse()
    elif order == "mixed":
        random.Random(draw(st.integers(0, 9))).shuffle(rows)
    lines = [separator.join(header)] * draw(st.booleans()) + rows
    if draw(st.booleans()):
        lines.insert(0, f"sep={separator}")
    text = draw(st.sampled_from(["\n", "\r\n"])).join([*lines, ""])
    encoded = text.encode(draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"])))
    if draw(st.booleans()):
        encoded = gzip.compress(encoded)
    return list(zip(times, values, strict=True)), encoded


class TestDialects:
    @settings(max_examples=300, deadline=None)
    @given(tables())
    def test_reads_a_series_exactly_or_refuses_it(self, tmp_path_factory, table):
        series, content = table
        path = tmp_path_factory.getbasetemp() / "drawn.csv"
        path.write_bytes(content)
        try:
            points = read_points(path, Choices())
        except UnreadableFileError:
            return
        if "such as 1.234 are taken to have decimals" not in points.sentence:
            assert pairs(points) == series

    def test_reads_what_programs_really_write(self, read):
        expected = [(START_MS + 60_000 * i, value) for i, value in enumerate((21.5, None, 1234.25))]
        dot, comma = ["21.5", "", "1234.25"], ["21,5", "", "1234,25"]
        seconds = [str(time // 1000) for time, _ in expected]
        zulu = [TIMES["z"](time) for time, _ in expected]

        def table(header, *columns, by=","):
            rows = [by.join(cells) for cells in zip(*columns, strict=True)]
            return "\n".join([*header, *rows, ""])

        tables = [
            table(["timestamp,value"], seconds, dot),
            table([], seconds, dot),
            table([], zulu, dot),
            table(["value,timestamp"], dot, seconds),
            table([], dot, seconds),
            table(["Time;Value"], seconds, comma, by=";"),
            table(["sep=;", '"time";"cpu"'], zulu, [f'"{c}"' for c in comma], by=";"),
            table(["Date\tLoad (%)"], [TIMES["dotted"](t) for t, _ in expected], comma, by="\t"),
            table(["name,time,value"], ["cpu"] * 3, [f"{s}000000000" for s in seconds], dot),
            table(
                [
                    "#datatype,string,long,dateTime:RFC3339,double",
                    "#group,false,false,false,false",
                    "#default,_result,,,",
                    ",result,table,_time,_value",
                ],
                *([""] * 3, [""] * 3, ["0"] * 3, zulu, dot),
            ),
            table(["# a comment", "ts,host,value"], seconds, ["web"] * 3, dot),
            table(['"Time","10.0.0.1"'], zulu, dot),
            "\n" + table(["_time,_value"], zulu, dot) + "\n\n",
        ]
        for content in tables:
            for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le"):
                points = read(content.encode(encoding))
                assert pairs(points) == expected, content
                assert points.unreadable_total == 0
                assert "3 rows" in points.sentence
                assert "1 row without a value left out" in points.sentence

    def test_reports_what_it_assumed(self, read):
        down = f"{START_MS + 1};1,5\n{START_MS};2\n".replace(";", ";x;")
        sentence = read("ms;host;v\n" + down).sentence
        for words in ("unix milliseconds", "column 1 (ms)", "column 3 (v)", "decimal comma"):
            assert words in sentence
        for words in ("semicolons", "newest row first", "column 2 (host) not read", "2026-11-28"):
            assert words in sentence
        taken = "numbers such as 1.234 are taken to have decimals"
        assert taken in read(f"{START},1.234\n").sentence
        assert taken not in read(f"{START},1.234\n{START},1.5\n").sentence
        assert "check that these are unix timestamps" in read("t,v\n1,5\n2,6\n").sentence


class TestRefused:
    def test_refuses_what_may_mean_two_things(self, read):
        now = str(START_MS // 1000)
        cases = [
            (f"{now},21,75\n", "--value-column"),
            (f"timestamp,value\n{now},21,75\n", "3 cells, and 2 are expected"),
            (f'timestamp,value\n{now},"1,234"\n', "--decimal"),
            (f"t;v\n{now};1.234\n", "--decimal"),
            (f"t;v\n{now};1.5\n{now};1,5\n", "line 2) and after a comma (line 3)"),
            (f"time,a,b\n{now},1,2\n", "2 (a), 3 (b)"),
            (f"time,value,value\n{now},1,2\n", "two columns"),
            ("date,value\n11/12/2026,5\n", "2026-11-28"),
            ("date,value\n13/12/2026,5\n12/13/2026,5\n", "month first"),
            ("date,value\n20261128,5\n1795867200,5\n", "dates such as 20261128 (line 2)"),
            (f"time,value,host\n{now},1,a\n{now},2,b\n", "several series"),
            (f"_time,_field,_value\n{START},a,1\n{START},b,1\n", "several series"),
            (f"t,v\n{now},1\n{now}\n", "line 3: it has 1 cell, and 2 are expected"),
            (f't,v,note\n{now},1,"a\nb"\n', "over several lines"),
            (f't,v,note\n{now},1,a\n{now},2,"never ended\n', "CSV"),
        ]
        for content, words in cases:
            assert words in refusal(read, content), content

    def test_refuses_cells_that_are_no_numbers_or_times(self, read):
        now = START_MS // 1000
        numbers = (
            "1_000",
            "\uff11\uff12",
            "\u0661",
            "1e999",
            "9" * 400,
            "inf",
            "0x1f",
            "21.5%",
            "1,23,4",
        )
        for text in (*numbers, "1 2", "12,34,567", "1.2.3", "--1", "1.5e", "e5"):
            result = refusal(read, f't,v\n{now},1.5\n{now + 1},"{text}"\n{now + 2},2.5\n')
            assert "line 3" in result, text
            assert "1 row of 3 cannot be read" in result
        times = (
            "yesterday",
            "1_000",
            "9" * 30,
            "1.7e9",
            "2026-13-01",
            "nan",
            "inf",
            "",
            "\uff11" * 10,
        )
        for text in (*times, "2026-11-28T25:00", "31.02.2026", "1e400"):
            result = refusal(read, f"timestamp,value\n{now},1\n{text},1\n{now + 2},1\n")
            assert "line 3" in result, text

    def test_names_the_kind_of_a_file_that_is_no_table(self, read):
        packed = gzip.compress(b"timestamp,value\n" + b"1795867200,1.5\n" * 5000)
        middle = len(packed) // 2
        damaged = packed[:middle] + bytes(4) + packed[middle + 4 :]
        for content in (packed[:middle], packed[:-4], damaged, packed[:12]):
            for name in ("in.csv.gz", "in.csv"):
                assert "unpack" in refusal(read, content, name=name) or "line" in refusal(
                    read, content, name=name
                )
        assert "Excel" in refusal(read, b"PK\x03\x04" + bytes(30))
        assert "gzip" in refusal(read, b"timestamp,value\n", name="in.csv.gz")
        assert refusal(read, bytes(range(256)) * 8)
        assert refusal(read, b"a" * 2_000_000)

    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200) | st.text("0123456789,;.\n\"'ab-:T \t#=", max_size=80))
    def test_reads_or_refuses_any_file(self, tmp_path_factory, content):
        path = tmp_path_factory.getbasetemp() / "any.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        with suppress(UnreadableFileError):
            points = read_points(path, Choices())
            assert len(points.times) == len(points.values) == len(points.lines)


class TestChoices:
    def test_columns_and_decimals_can_be_given(self, read):
        now = START_MS // 1000
        table = f"id,start,end,a,b\n1,{now},{now + 9},1.234,5\n"
        for name in ("b", "B", "5"):
            points = read(table, time_column="end", value_column=name)
            assert pairs(points) == [(START_MS + 9000, 5.0)]
        assert "no column is called" in refusal(read, table, value_column="c")
        thousands = f"t;v\n{now};1.234\n"
        assert pairs(read(thousands, decimal=Decimal.COMMA)) == [(START_MS, 1234.0)]
        assert pairs(read(thousands, decimal=Decimal.POINT)) == [(START_MS, 1.234)]

    def test_rows_that_cannot_be_read_may_be_left_out(self, read):
        now = START_MS // 1000
        rows = "".join(f"{now + i},{'much' if i % 10 == 3 else i}\n" for i in range(100))
        points = read("t,v\n" + rows, skip_unreadable=True)
        assert (len(points.times), points.unreadable_total) == (90, 10)
        assert points.unreadable[0] == "line 5: 'much' is not a number"
        assert len(points.unreadable) == 5
        assert "10 unreadable rows left out" in points.sentence
