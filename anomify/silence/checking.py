"""Check what a person or program says of a silence: which metrics, on which days, from when."""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from anomify.errors import Invalid, NotFound
from anomify.metric.name import NameRefused, has_unseen, parse_name, plain_or_labelled_name
from anomify.metric.queries import get_metric
from anomify.org.creating import checked_timezone
from anomify.org.daily_times import LAST_DAY, WEEKDAYS, minute_of_day, weekday_number
from anomify.silence.affected import NOT, Affected
from anomify.silence.matcher import Matcher, checked, read_matcher
from anomify.silence.model import COMMENT_CHARACTERS_MAX

MATCHERS_MAX: Final = 20
CHIPS_MAX: Final = 20
CHIP_CHARACTERS_MAX: Final = 200
DATES_MAX: Final = 366
_LAST_OF_MONTH: Final = 31


class Problems(dict[str, str]):
    """What is wrong with which field of a request."""

    def raise_any(self) -> None:
        """Raise Invalid if anything is wrong."""
        if self:
            raise Invalid("The silence cannot be saved like this.", fields=self)


def checked_affected(
    org_id: int,
    metric: str | None,
    matchers: Sequence[str],
    chips: Sequence[str],
    *,
    everything: bool,
    problems: Problems,
) -> Affected:
    """Return which metrics are meant, in the form in which they are stored.

    A metric, matchers or chips have to be named, or everything: a request that names nothing must
    not silence the whole org.
    """
    found = Affected(
        metric=_checked_metric(org_id, metric, problems) if metric else None,
        matchers=tuple(_checked_matchers(matchers, problems)),
        chips=tuple(_checked_chips(chips, problems)),
    )
    if problems:
        return found
    if everything and found != Affected():
        problems["everything"] = "Leave it out, or leave out metric, matchers and chips."
    elif not everything and found == Affected():
        problems["metric"] = "Name a metric, matchers or chips, or set everything to true."
    return found


def checked_comment(comment: str, problems: Problems) -> str:
    """Return the comment in one line."""
    line = " ".join(comment.split())
    if len(line) > COMMENT_CHARACTERS_MAX:
        problems["comment"] = f"A comment has at most {COMMENT_CHARACTERS_MAX} characters."
    elif has_unseen(line):
        problems["comment"] = "A comment holds no control or direction characters."
    return line


def minute_of(text: str, field: str, problems: Problems) -> int:
    """Return the minute of the day of a local time; 24:00 is the end of the day, like 00:00."""
    minute = minute_of_day(text)
    if minute is None:
        problems[field] = "A time of the day is needed, such as 22:30."
    return minute or 0


def weekdays_of(names: Iterable[str], problems: Problems) -> list[int]:
    """Return the numbers of weekdays, 0 for Monday, from their names or first three letters."""
    found = {weekday_number(name) for name in names}
    if None in found:
        problems["weekdays"] = f"Days of the week are needed, such as {WEEKDAYS[0]}."
    return sorted(number for number in found if number is not None)


def month_days_of(days: Iterable[int], problems: Problems) -> list[int]:
    """Return days of the month, each once; -1 is the last one."""
    found = sorted(set(days))
    if any(not (1 <= day <= _LAST_OF_MONTH or day == LAST_DAY) for day in found):
        problems["month_days"] = "Days from 1 to 31 are needed; -1 is the last day of a month."
        return []
    return found


def dates_of(texts: Sequence[str], problems: Problems) -> list[str]:
    """Return dates as texts such as 2026-12-24, each once, in order."""
    found = set()
    for text in texts[: DATES_MAX + 1]:
        try:
            found.add(date.fromisoformat(text.strip()).isoformat())
        except ValueError:
            problems["dates"] = "Dates such as 2026-12-24 are needed."
    if len(texts) > DATES_MAX:
        problems["dates"] = f"At most {DATES_MAX} dates can be named."
    return sorted(found)


def zone_of(name: str, problems: Problems) -> str:
    """Return the name of a time zone."""
    try:
        return checked_timezone(name)
    except Invalid as problem:
        problems["timezone"] = problem.message
        return "UTC"


def _checked_metric(org_id: int, text: str, problems: Problems) -> str:
    name = plain_or_labelled_name(text)
    if isinstance(name, NameRefused):
        problems["metric"] = f"No metric can have this name: {name.reason}."
        return ""
    try:
        return get_metric(org_id, name).name
    except NotFound as problem:
        raise NotFound(problem.message, fields={"metric": problem.message}) from None


def _checked_matchers(texts: Sequence[str], problems: Problems) -> list[Matcher]:
    found: list[Matcher] = []
    if len(texts) > MATCHERS_MAX:
        problems["matchers"] = f"At most {MATCHERS_MAX} matchers can be named."
        return found
    for text in texts:
        try:
            found += _matchers_in(text)
        except Invalid as problem:
            problems["matchers"] = problem.message
    unique = list(dict.fromkeys(found))
    if len(unique) > MATCHERS_MAX:
        problems["matchers"] = f"At most {MATCHERS_MAX} matchers can be named."
    return unique


def _matchers_in(text: str) -> list[Matcher]:
    """Return the matcher that is written, or those of a name with labels: up{env="dev"}."""
    stripped = text.strip()
    if not stripped.endswith("}") or "{" not in stripped.split("=", 1)[0].split("!", 1)[0]:
        return [read_matcher(stripped)]
    labels = parse_name(stripped)
    if isinstance(labels, NameRefused):
        raise Invalid(f"This cannot be read as matchers: {labels.reason}.")
    return [checked(Matcher(label, "=", value)) for label, value in labels]


def _checked_chips(texts: Sequence[str], problems: Problems) -> list[str]:
    found: list[str] = []
    if len(texts) > CHIPS_MAX:
        problems["chips"] = f"At most {CHIPS_MAX} chips can be named."
        return found
    for text in texts:
        chip = unicodedata.normalize("NFC", text).strip()
        word = chip.removeprefix(NOT).strip()
        if not word and not chip:
            continue
        if not word:
            problems["chips"] = "A word is needed after !, such as !staging."
        elif len(chip) > CHIP_CHARACTERS_MAX:
            problems["chips"] = f"A chip has at most {CHIP_CHARACTERS_MAX} characters."
        elif has_unseen(chip):
            problems["chips"] = "No metric's name holds control or direction characters."
        else:
            found.append(NOT + word if chip.startswith(NOT) else word)
    return list(dict.fromkeys(found))
