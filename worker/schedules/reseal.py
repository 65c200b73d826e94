"""Reseal: which payloads of schedules are sealed by which key, and all of them sealed by the one in use."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from worker.model.schedule import Schedule
from worker.schedules.change import Changing
from worker.store.schedules import ScheduleChanged

# Somebody else changes the same schedule at the same time, again and again.
_TRIES = 20


class SealedPayloads(Struct, frozen=True):
    """Schedules of the store, by name. `keys`: what it is sealed by, `clear`: with a secret that is not sealed.

    `unreadable`: why it cannot be opened here. One of these is in `keys` too, if it says what it is sealed by.
    """

    keys: dict[str, str]
    clear: tuple[str, ...]
    unreadable: dict[str, str]


async def sealed_payloads(changing: Changing, key_id: Callable[[str], str | None]) -> SealedPayloads:
    """`key_id` of a sealed text."""
    kept = await changing.schedules.list()
    ids = {schedule.name: key_id(schedule.sealed) for schedule in kept if schedule.sealed}
    return SealedPayloads(
        keys={name: id for name, id in ids.items() if id is not None},
        clear=tuple([each.name for each in kept if each.sealed is None and await changing.holds_secret(each)]),
        unreadable={schedule.name: schedule.unreadable for schedule in kept if schedule.unreadable},
    )


async def reseal(changing: Changing, to: str, key_id: Callable[[str], str | None]) -> int:
    """Seal by the key `to`, which is in use, what another has sealed or none; how many there were.

    What cannot be opened stays as it is. Called again it goes on; beats read either meanwhile. Raises Unsealable.
    """
    found = await sealed_payloads(changing, key_id)
    names = [*found.clear, *(name for name, id in found.keys.items() if id != to and name not in found.unreadable)]
    return sum([await _one(changing, name, to, key_id) for name in names])


async def _one(changing: Changing, name: str, to: str, key_id: Callable[[str], str | None]) -> bool:
    for _ in range(_TRIES):
        schedule = await changing.schedules.get(name)
        if schedule is None or schedule.unreadable or not await _wanted(changing, schedule, to, key_id):
            return False  # somebody else has deleted or sealed it meanwhile
        try:
            await changing.schedules.reseal(schedule, await changing.schedules.now())
        except ScheduleChanged:
            continue
        return True
    raise ScheduleChanged(f"the schedule {name} is changed all the time: try again")


async def _wanted(changing: Changing, schedule: Schedule, to: str, key_id: Callable[[str], str | None]) -> bool:
    if schedule.sealed is None:
        return await changing.holds_secret(schedule)
    return key_id(schedule.sealed) != to
