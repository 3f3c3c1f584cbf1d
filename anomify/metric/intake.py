"""Check the datapoints of a request: which are stored, and the reason for each refusal."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import numpy as np

from anomify.clock import to_ms
from anomify.errors import encodable
from anomify.metric.name import (
    BAD_NAME,
    NAME_LABEL,
    QUOTA,
    DerivedName,
    NameRefused,
    canonical_name,
    plain_or_labelled_name,
    with_label,
)
from anomify.metric.registry import OverQuota
from anomify.org.refused_items import Refused
from anomify.protocol.batch import UNKNOWN, Batch, DerivedSeries, Identity, Refusal
from anomify.protocol.prometheus_rows import labels_of_key
from anomify.protocol.telegraf import TELEGRAF_KEY, series_of_key
from anomify.series import Bools, Points

# Points further in the future are refused: earlier points would then count as late.
FUTURE_MS = 5 * 60 * 1000
# Earlier timestamps are mistakes of the unit (minutes, or a clock that starts at 0).
OLDEST_MS = to_ms(datetime(2000, 1, 1, tzinfo=UTC))
SERVER_LABEL = "_server_id"
SHOWN_NAME_CHARACTERS = 200
NO_OTHER_NAMES: Mapping[bytes, str] = MappingProxyType({})

NOT_A_NUMBER = 1
INFINITE = 2
FUTURE = 3
ABSURD = 4
# The reason and its kind are in `_reasons`.
NAMED = 5

_REASONS = {
    NOT_A_NUMBER: "the value is NaN; send a number, or nothing",
    INFINITE: "the value is infinite; send a finite number",
    FUTURE: "the timestamp is more than 5 minutes in the future; check the sender's clock",
    ABSURD: "the timestamp is before the year 2000; send unix seconds",
}
# The names of the reasons in the counters.
KINDS = {
    NOT_A_NUMBER: "nan",
    INFINITE: "infinite",
    FUTURE: "future",
    ABSURD: "too_old",
}


class Intake:
    """One batch of datapoints: checked when created, then named, then settled with metric ids.

    First `names` are the series to register, and `ended_names` those to look up only, because the
    end of an unknown series creates no metric. `settle` takes their ids, or the reasons why some
    have none. Then `points` and `ended` are to be stored, and `refusals` is the report.
    """

    def __init__(self, batch: Batch, now_ms: int, server_id: str | None = None) -> None:
        """Check the value and time of every row, and derive the names of series without an id."""
        self._batch = batch
        self._server_id = server_id
        self._ids = batch.metric_ids
        self._faults = _faults(batch, now_ms)
        self._has_faults = bool(self._faults.any())
        self._has_ends = bool(batch.ends.any())
        self._reasons: dict[int, NameRefused] = {}
        self._apart: Mapping[bytes, str] = NO_OTHER_NAMES
        self.names: dict[bytes, str | DerivedName] = {}
        self.ended_names: dict[bytes, str | DerivedName] = {}
        for series in batch.unknown_series:
            self._name(series.key, series.identity, series.rows)

    def _name(self, key: bytes, identity: Identity, rows: list[int]) -> None:
        good = [row for row in rows if not self._faults[row]]
        if not good:
            return
        name = self._named(identity)
        if isinstance(name, NameRefused):
            self._refuse(good, name)
        elif all(self._batch.ends[row] for row in good):
            self.ended_names[key] = name
        else:
            self.names[key] = name

    def _named(self, identity: Identity) -> str | DerivedName | NameRefused:
        if isinstance(identity, DerivedSeries):
            return self._derived(identity)
        if isinstance(identity, str):
            return self._of_server(plain_or_labelled_name(identity))
        return self._of_server(canonical_name(identity))

    def _derived(self, series: DerivedSeries) -> DerivedName | NameRefused:
        name = self._of_server(plain_or_labelled_name(series.name))
        if isinstance(name, NameRefused):
            return name
        apart = self._of_server(canonical_name([(NAME_LABEL, series.name), *series.labels]))
        return DerivedName(name, apart, hashlib.sha256(series.key).digest())

    def _of_server(self, name: str | NameRefused) -> str | NameRefused:
        if self._server_id is None or isinstance(name, NameRefused):
            return name
        return with_label(name, SERVER_LABEL, self._server_id)

    def _refuse(self, rows: list[int], reason: NameRefused) -> None:
        self._has_faults = self._has_faults or bool(rows)
        for row in rows:
            self._faults[row] = NAMED
            self._reasons[row] = reason

    def settle(
        self,
        ids: Mapping[bytes, int],
        refused: Mapping[bytes, str],
        apart: Mapping[bytes, str] = NO_OTHER_NAMES,
    ) -> None:
        """Set the ids of the unknown series, or the reasons for those without one.

        `apart` are the names of series whose derived name belongs to another series.
        """
        self._apart = apart
        if not self._batch.unknown_series:
            return
        self._ids = self._ids.copy()
        for series in self._batch.unknown_series:
            if series.key in ids:
                self._ids[series.rows] = ids[series.key]
            elif series.key in refused:
                good = [row for row in series.rows if not self._faults[row]]
                reason = refused[series.key]
                kind = QUOTA if isinstance(reason, OverQuota) else BAD_NAME
                self._refuse(good, NameRefused(str(reason), kind))
            elif series.key in self.names:
                raise KeyError(f"no id and no reason was given for {self.names[series.key]}")

    @property
    def points(self) -> Points:
        """Return the datapoints to store."""
        batch = self._batch
        everything = Points(self._ids, batch.times, batch.values)
        if not (self._has_faults or self._has_ends or batch.unknown_series):
            return everything
        return everything.of(self._stored() & ~batch.ends)

    @property
    def ended(self) -> Points:
        """Return the series that have ended, and when; the values are not used."""
        batch = self._batch
        if not self._has_ends:
            return Points.empty()
        return Points(self._ids, batch.times, batch.values).of(self._stored() & batch.ends)

    def _stored(self) -> Bools:
        stored: Bools = (self._faults == 0) & (self._ids != UNKNOWN)
        return stored

    @property
    def accepted(self) -> int:
        """Return how many rows were accepted, including ends of series."""
        return int(np.count_nonzero(self._faults == 0)) if self._has_faults else len(self._batch)

    def accepted_names(self) -> list[str]:
        """Return the names of the metrics with accepted rows, each once, in order."""
        keys = (self._batch.keys[row] for row in np.flatnonzero(self._faults == 0).tolist())
        return [self.name_of(key) for key in dict.fromkeys(keys)]

    def refusals(self) -> list[Refusal]:
        """Return every item that is not stored, in the order of the request."""
        batch = self._batch
        found = list(batch.refusals)
        for row in np.flatnonzero(self._faults).tolist():
            reason, kind = self._reason(row)
            found.append(Refusal(int(batch.items[row]), self._shown(batch.keys[row]), reason, kind))
        return sorted(found, key=lambda refusal: refusal.index)

    def refused_kinds(self) -> dict[str, Refused]:
        """Return the number of refused items by kind of reason, with an example of each."""
        found: dict[str, Refused] = {}
        for refusal in self._batch.refusals:
            if refusal.kind in found:
                found[refusal.kind].items += 1
            else:
                found[refusal.kind] = Refused(1, refusal.metric, refusal.reason)
        if not self._has_faults:
            return found
        for row in np.flatnonzero(self._faults).tolist():
            reason, kind = self._reason(row)
            if kind in found:
                found[kind].items += 1
            else:
                found[kind] = Refused(1, self._shown(self._batch.keys[row]), reason)
        return found

    def _reason(self, row: int) -> tuple[str, str]:
        """Return the reason for which a row is refused, and its kind."""
        fault = int(self._faults[row])
        if fault != NAMED:
            return _REASONS[fault], KINDS[fault]
        refused = self._reasons[row]
        return refused.reason, refused.kind

    def name_of(self, key: bytes) -> str:
        """Return the name of the metric of a key, or the beginning of the sender's text."""
        return self._apart.get(key) or self._shown(key)

    def _shown(self, key: bytes) -> str:
        identity = series_of_key(key) if key.startswith(TELEGRAF_KEY) else labels_of_key(key)
        name = self._named(identity)
        if isinstance(name, DerivedName):
            return name.name
        if not isinstance(name, NameRefused):
            return name
        if isinstance(identity, DerivedSeries):
            identity = identity.name
        if not isinstance(identity, str):
            identity = dict(identity).get(NAME_LABEL) or ",".join(
                f"{label}={value}" for label, value in identity
            )
        return encodable(identity[:SHOWN_NAME_CHARACTERS])


def _faults(batch: Batch, now_ms: int) -> np.typing.NDArray[np.uint8]:
    faults = np.zeros(len(batch), np.uint8)
    is_bad = ~np.isfinite(batch.values)
    if is_bad.any():
        faults[is_bad & ~batch.ends] = INFINITE
        faults[np.isnan(batch.values) & ~batch.ends] = NOT_A_NUMBER
    if len(batch) and batch.times.max() > now_ms + FUTURE_MS:
        faults[batch.times > now_ms + FUTURE_MS] = FUTURE
    if len(batch) and batch.times.min() < OLDEST_MS:
        faults[batch.times < OLDEST_MS] = ABSURD
    return faults
