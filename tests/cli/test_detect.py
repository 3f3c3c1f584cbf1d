import csv
import gzip
import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from anomify.cli.detect import HEADER, detect
from anomify.detection.threshold import THRESHOLDS, Severity

START = 1_790_553_600


def write(path, rows, header="timestamp,value"):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def readings(count, spike_at=None):
    values = np.random.default_rng(1).normal(100.0, 1.0, count)
    if spike_at is not None:
        values[spike_at] += 30.0
    return values.tolist()


def run(*arguments):
    return CliRunner().invoke(detect, [str(argument) for argument in arguments])


def rows_of(text):
    return list(csv.DictReader(text.splitlines()))


class TestSeverities:
    def test_prints_the_alert_from_which_each_holds_as_json(self):
        outcome = run("--severities", "--json")
        assert outcome.exit_code == 0
        assert json.loads(outcome.stdout) == {
            severity.name.lower(): alert for severity, alert in THRESHOLDS.items()
        }
        assert list(json.loads(outcome.stdout)) == ["low", "medium", "high"]

    def test_prints_a_table_without_json(self):
        lines = run("--severities").stdout.splitlines()
        assert [line.split()[0] for line in lines] == ["severity", "low", "medium", "high"]
        assert f"{THRESHOLDS[Severity.HIGH]:.2f}" in lines[3]

    def test_agrees_with_the_rows_of_a_file(self, tmp_path):
        low = json.loads(run("--severities", "--json").stdout)["low"]
        values = readings(300, spike_at=250)
        file = write(tmp_path / "in.csv", [f"{START + 60 * i},{v!r}" for i, v in enumerate(values)])
        for row in rows_of(run(file).stdout):
            assert (row["is_anomaly"] == "1") == (float(row["alert"]) >= low)

    def test_does_not_import_the_compiler(self):
        program = (
            "import sys\n"
            "from anomify.cli.main import anomify\n"
            "anomify(['detect', '--severities', '--json'], standalone_mode=False)\n"
            "print(*[name for name in ('numba', 'llvmlite', 'pydantic') if name in sys.modules])"
        )
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        assert result.stdout.splitlines()[1:] == [b""]

    @pytest.mark.parametrize("arguments", [["FILE", "--severities"], ["FILE", "--json"], []])
    def test_refuses_what_has_no_meaning(self, tmp_path, arguments):
        file = write(tmp_path / "in.csv", [f"{START},1"])
        outcome = run(*[file if each == "FILE" else each for each in arguments])
        assert outcome.exit_code == 2
        assert "Usage:" in outcome.output


class TestDetect:
    def test_writes_a_row_for_each_row(self, tmp_path):
        values = readings(300, spike_at=250)
        file = write(tmp_path / "in.csv", [f"{START + 60 * i},{v!r}" for i, v in enumerate(values)])
        outcome = run(file)
        assert outcome.exit_code == 0
        assert outcome.stdout.splitlines()[0] == HEADER
        rows = rows_of(outcome.stdout)
        assert [float(row["value"]) for row in rows] == values
        assert [row["timestamp"] for row in rows] == [str(START + 60 * i) for i in range(300)]
        found = [place for place, row in enumerate(rows) if row["is_anomaly"] == "1"]
        assert found == [250]
        assert float(rows[250]["value"]) > float(rows[250]["expected_upper"])
        assert float(rows[250]["score"]) > 0.5
        assert rows[50]["expected_lower"] == ""

    def test_marks_the_span_of_it_by_the_display_score(self, tmp_path):
        values = readings(300, spike_at=250)
        file = write(tmp_path / "in.csv", [f"{START + 60 * i},{v!r}" for i, v in enumerate(values)])
        rows = rows_of(run(file, "--head", "display").stdout)
        marked = [place for place, row in enumerate(rows) if row["is_anomaly"] == "1"]
        assert marked == list(range(250, marked[-1] + 1))
        assert len(marked) > 3
        assert all(row["alert"] == row["score"] for row in rows)

    def test_keeps_rows_that_cannot_be_judged(self, tmp_path):
        rows = [f"{START + 60 * i},{v!r}" for i, v in enumerate(readings(200))]
        rows[150:150] = [f"{START},7", f"{START + 60 * 149.5},", f"{START + 60 * 149.6},NaN"]
        outcome = run(write(tmp_path / "in.csv", rows))
        result = rows_of(outcome.stdout)
        assert len(result) == 203
        assert {tuple(row.values())[2:] for row in result[150:153]} == {("", "", "0", "0", "0")}
        assert result[151]["value"] == ""

    @pytest.mark.parametrize(
        "stamps",
        [
            [str(START + 60 * i) for i in range(120)],
            [f"{START + 60 * i}.5" for i in range(120)],
            [str((START + 60 * i) * 1000) for i in range(120)],
            [f"2026-09-28T{i // 60:02}:{i % 60:02}:00Z" for i in range(120)],
            [f"2026-09-28 {i // 60:02}:{i % 60:02}:00" for i in range(120)],
        ],
    )
    def test_understands_timestamps(self, tmp_path, stamps):
        rows = [f"{stamp},{v!r}" for stamp, v in zip(stamps, readings(120), strict=True)]
        result = rows_of(run(write(tmp_path / "in.csv", rows)).stdout)
        assert [row["timestamp"] for row in result] == stamps
        assert all(row["expected_lower"] for row in result[100:])

    def test_judges_in_the_order_of_the_times_and_writes_in_the_files(self, tmp_path):
        rows = [f"{START + 60 * i},{v!r}" for i, v in enumerate(readings(300, spike_at=250))]
        upward = run(write(tmp_path / "in.csv", rows)).stdout.splitlines()
        for order in (rows[::-1], rows[150:] + rows[:150]):
            outcome = run(write(tmp_path / "in.csv", order))
            result = outcome.stdout.splitlines()
            assert sorted(result[1:]) == sorted(upward[1:])
            assert [line.split(",")[0] for line in result[1:]] == [
                row.split(",")[0] for row in order
            ]
            assert "row" in outcome.stderr
        assert sum(line.endswith(",1") for line in upward) == 1

    def test_reports_how_it_read_the_file(self, tmp_path):
        for stamp in (f"{START}000000", f"{START}000000000", "20260928"):
            outcome = run(write(tmp_path / "in.csv", [f"{stamp},1.5"]))
            assert "from 2026-09-2" in outcome.stderr
            assert outcome.stdout.splitlines()[1] == f"{stamp},1.5,,,0,0,0"

    def test_writes_a_timestamp_with_a_comma_as_one_cell(self, tmp_path):
        rows = [f"{START + i},5;1,{i:03}5" for i in range(3)]
        outcome = run(write(tmp_path / "in.csv", rows, header="t;v"))
        assert [row["timestamp"] for row in rows_of(outcome.stdout)] == [
            f"{START + i},5" for i in range(3)
        ]
        assert [row["value"] for row in rows_of(outcome.stdout)] == ["1.0005", "1.0015", "1.0025"]

    def test_ends_with_1_where_rows_were_left_out(self, tmp_path):
        file = write(tmp_path / "in.csv", [f"{START},1", f"{START + 60},much", f"{START + 120},2"])
        assert run(file).exit_code == 2
        outcome = run(file, "--skip-unreadable")
        assert outcome.exit_code == 1
        assert len(rows_of(outcome.stdout)) == 2
        assert "line 3: 'much' is not a number" in outcome.stderr

    def test_reads_gzip_and_writes_a_file(self, tmp_path):
        text = "timestamp,value\n" + "".join(
            f"{START + 60 * i},{v!r}\n" for i, v in enumerate(readings(150))
        )
        (tmp_path / "in.csv.gz").write_bytes(gzip.compress(text.encode()))
        outcome = run(tmp_path / "in.csv.gz", "--out", tmp_path / "out.csv")
        assert outcome.exit_code == 0
        assert outcome.stdout == ""
        assert len(rows_of((tmp_path / "out.csv").read_text())) == 150

    def test_has_a_head_for_novelty(self, tmp_path):
        file = write(
            tmp_path / "in.csv",
            [f"{START + 60 * i},{v!r}" for i, v in enumerate(readings(300, spike_at=250))],
        )
        result = rows_of(run(file, "--head", "novelty").stdout)
        assert result[250]["is_anomaly"] == "1"
        assert result[250]["alert"] != rows_of(run(file).stdout)[250]["alert"]

    @pytest.mark.parametrize("line", ["soon,1", f"{START},much", "inf,1"])
    def test_names_the_line_that_it_cannot_read(self, tmp_path, line):
        file = write(tmp_path / "in.csv", [f"{START},1", line])
        outcome = run(file)
        assert outcome.exit_code == 2
        assert f"{file}, line 3" in outcome.output

    def test_reports_a_file_that_is_not_gzip(self, tmp_path):
        (tmp_path / "in.csv.gz").write_text("timestamp,value\n")
        outcome = run(tmp_path / "in.csv.gz")
        assert outcome.exit_code == 2
        assert "not a CSV file" in outcome.output

    def test_writes_only_the_header_for_an_empty_file(self, tmp_path):
        assert run(write(tmp_path / "in.csv", [])).stdout == HEADER + "\n"
