"""Stored points and metadata of different backups are refused."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner

from anomify.cli.main import anomify
from anomify.clock import now
from anomify.db import Database, session
from anomify.errors import Conflict
from anomify.metric.mixed import refuse_mixed
from anomify.metric.model import Metric
from anomify.metric.open_store import open_points
from anomify.metric.state import PARTITIONS
from anomify.worker.analyse import Analyser
from tests.kit.backups import Place, run
from tests.kit.plant import drain


class TestRefuseMixed:
    def test_files_of_different_moments(self, place: Place, tmp_path: Path) -> None:
        def refusal(folder: Path) -> str:
            database = Database(f"sqlite:///{folder / 'meta.db'}")
            points = open_points(database, folder)
            try:
                with pytest.raises(Conflict) as refused:
                    refuse_mixed(database, points)
                return refused.value.message
            finally:
                points.close()
                database.dispose()

        def copy(name: str) -> Path:
            folder = tmp_path / name
            run("backup", str(tmp_path / f"{name}.backup"), "--data", str(place.folder))
            run("restore", str(tmp_path / f"{name}.backup"), "--data", str(folder))
            return folder

        place.send()
        early = copy("early")
        place.send()
        analyser = Analyser(place.database, place.points.log, place.points.chunks)
        analyser.recover()
        drain(analyser)
        with place.database.unit_of_work():
            org_id = session().get_one(Metric, place.metric_ids[0]).org_id
            late = Metric(org_id=org_id, name="late", name_hash=b"late", created_at=now())
            session().add(late)
            session().flush()
            place.metric_ids.append(late.id)
        place.send()
        drain(analyser)
        in_log = copy("in_log")
        analyser.checkpoint(range(PARTITIONS))
        in_chunks = copy("in_chunks")
        for folder in (in_log, in_chunks):
            mixed = tmp_path / f"old_meta_{folder.name}"
            shutil.copytree(folder, mixed)
            shutil.copy(early / "meta.db", mixed / "meta.db")
            text = refusal(mixed)
            assert f"The stored points have metric ids up to {place.metric_ids[-1]}, " in text
            assert "anomify restore FILE" in text
            result = CliRunner().invoke(anomify, ["prepare", "--data", str(mixed)])
            assert result.exit_code == 1
            assert text in result.output
        mixed = tmp_path / "old_log"
        shutil.copytree(in_chunks, mixed)
        shutil.copy(early / "log.db", mixed / "log.db")
        assert "entries of the log" in refusal(mixed)
        assert sqlite3.connect(mixed / "log.db").execute("SELECT 1").fetchone() == (1,)
