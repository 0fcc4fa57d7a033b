"""Who asked to join with a wrong secret of late, by address: bounded, and in memory alone."""

from __future__ import annotations

GUESSES_MOST = 10  # wrong secrets from one address in GUESS_SECONDS
GUESS_SECONDS = 60.0
GUESSERS_MOST = 1000


class Guesses:
    """How often an address was wrong of late. `now` is in seconds."""

    def __init__(self) -> None:
        self._wrong: dict[str, list[float]] = {}

    def too_many(self, peer: str, now: float) -> bool:
        """Whether an address has to wait."""
        return len(self._of_late(peer, now)) >= GUESSES_MOST

    def wrong(self, peer: str, now: float) -> None:
        """An address was wrong; of too many, those that were wrong first are forgotten."""
        known = self._of_late(peer, now)
        self._wrong.pop(peer, None)
        self._wrong[peer] = [*known, now][-GUESSES_MOST:]
        if len(self._wrong) > GUESSERS_MOST:
            self._wrong.pop(next(iter(self._wrong)))

    def _of_late(self, peer: str, now: float) -> list[float]:
        return [at for at in self._wrong.get(peer, ()) if now - at < GUESS_SECONDS]
