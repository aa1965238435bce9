"""The times that a question names, such as `last week` or `in May 2023`."""

from __future__ import annotations

import calendar
import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from agentkit.memory.user_index import Period

_MOST_CHARS = 500
_YEAR = re.compile(r"\D*\b(1[89]|20)\d\d\b\D*")
_MONTHS = "|".join(calendar.month_name[1:] + calendar.month_abbr[1:])
_MONTH = re.compile(rf"\b({_MONTHS})\b", re.IGNORECASE)
_VERB = re.compile(r"(may|march)", re.IGNORECASE)  # and no month, where it stands alone
_START, _END = " (start)", " (end)"


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def periods_in(question: str, *, now: datetime) -> list[Period]:
    """The times that a question names; none where `dateparser` is not installed.

    Args:
        question: The question, in English.
        now: The time that `yesterday` is told from.
    """
    try:
        from dateparser.search import search_dates
    except ImportError:
        return []
    settings = {
        "RELATIVE_BASE": now.replace(tzinfo=None),
        "PREFER_DATES_FROM": "past",
        "RETURN_TIME_SPAN": True,
    }
    text = question[:_MOST_CHARS]
    found: Any = []
    with contextlib.suppress(Exception):  # it fails on some texts that hold no time
        found = search_dates(text, languages=["en"], settings=settings) or []
    times = {phrase: _day(time, now) for phrase, time in found}
    periods = []
    for phrase in times:
        if phrase.endswith((_START, _END)) or _VERB.fullmatch(phrase.strip()):
            continue
        with contextlib.suppress(OverflowError):  # nothing ends after the last day that there is
            periods.append(_period(phrase, times))
    return periods


def _period(phrase: str, times: Mapping[str, datetime]) -> Period:
    """The week, the day, the month or the year that a phrase means."""
    day = times[phrase]
    if phrase + _START in times:
        return times[phrase + _START], times[phrase + _END] + timedelta(days=1)
    if _MONTH.search(phrase) and not re.search(r"\b\d{1,2}(st|nd|rd|th)?\b", phrase):
        first = day.replace(day=1)
        return first, first + timedelta(days=calendar.monthrange(day.year, day.month)[1])
    if _YEAR.fullmatch(phrase):
        return day.replace(month=1, day=1), day.replace(year=day.year + 1, month=1, day=1)
    return day, day + timedelta(days=1)


def _day(time: datetime, now: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=now.tzinfo)
