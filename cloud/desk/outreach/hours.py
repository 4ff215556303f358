"""Pure: when a customer may be disturbed, in the customer's own time zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class QuietHours:
    """Quiet from `quiet_from` until `quiet_until`, local wall-clock times; equal times mean never quiet.

    The end is not quiet any more: with 20:00 to 09:00, a message may go at 09:00:00 and not at 20:00:00.
    """

    zone: ZoneInfo
    quiet_from: time
    quiet_until: time

    def quiet_at(self, at: datetime) -> bool:
        """Whether the instant (aware) lies in the quiet hours."""
        local = at.astimezone(self.zone).time()
        if self.quiet_from == self.quiet_until:
            return False
        if self.quiet_from < self.quiet_until:
            return self.quiet_from <= local < self.quiet_until
        return local >= self.quiet_from or local < self.quiet_until

    def next_open(self, at: datetime) -> datetime:
        """The next instant from `at` on that is not quiet, in UTC.

        A change of clocks may put the end of the quiet hours into the hour that is skipped or lived twice: each
        reading of it is tried, and one that is still quiet is passed over. What is returned is never quiet; on such a
        day it may be up to an hour later than it had to be.
        """
        if not self.quiet_at(at):
            return at.astimezone(UTC)
        today = at.astimezone(self.zone).date()
        candidates = sorted(
            instant for day in range(-1, 4) for instant in self._ends(today + timedelta(days=day)) if instant > at
        )
        for instant in candidates:
            if not self.quiet_at(instant):
                return instant
        raise ValueError(f"no open hour within days of {at} for {self}")  # needs quiet hours longer than a day

    def _ends(self, day: date) -> list[datetime]:
        end = datetime.combine(day, self.quiet_until, self.zone)
        return [end.replace(fold=fold).astimezone(UTC) for fold in (0, 1)]
