"""Dead letters: give messages that no task could be made of another chance, for instance under corrected scripts."""

from __future__ import annotations

from worker.broker.republish import Republisher
from worker.store.dead_letters import DeadLetters


async def replay(letters: DeadLetters, republisher: Republisher, letter_id: str) -> bool:
    """Put the message back into its queue, as it came, and forget the letter. False: there is no such letter.

    First the one and then the other, so that it is never lost; interrupted in between, it is in both. Raises
    BrokerAway, and the letter stays.
    """
    found = await letters.get(letter_id)
    if found is None:
        return False
    letter, raw = found
    await republisher.republish(letter.queue, raw)
    # A worker that could not read it this time either may have kept it again already, as the same letter.
    await letters.drop(letter_id, times=letter.times)
    return True
