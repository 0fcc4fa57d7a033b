"""The rows, in the order of the page, and what each is called there. PURE."""

from __future__ import annotations

TITLES = {
    "starts": "Tasks to running",
    "swarm": "Against Docker Swarm",
    "slots": "How many starts at once",
    "exits": "An exit is seen",
    "stops": "A stop",
    "accepts": "Accepted durably",
    "lists": "Lists",
    "watchers": "Watchers",
    "growth": "Growth",
    "footprint": "Footprint",
    "returns": "The return",
}
