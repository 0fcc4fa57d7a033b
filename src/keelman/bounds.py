"""What one client, or all of them together, may cost the worker: one table of bounds. PURE.

They are no options: what is let in may start containers as root anyway, so these are not there to
be fair but to keep the worker answerable, and to make a mistake of one client cheap for the others.
The streams and long polls that there may be leave a third of the connections to everybody else.
docs/api.md tells them.
"""

from __future__ import annotations

# A request's head. Ours are some hundred bytes; labels make the longest line, tokens the longest
# field, proxies the most fields. A head is held until it is whole, at about twice its size: 320 KiB
# for one connection, 160 MiB for all that wait.
LINE_MOST_BYTES = 8190
FIELD_MOST_BYTES = 4096
FIELDS_MOST = 40

# A body. The largest TaskEvent that makes sense has some 100 kB.
BODY_MOST_BYTES = 1024 * 1024
BODY_SECONDS = 10.0
BODY_AHEAD_BYTES = 4096  # parsed before it is asked for: twice that, or in 256 chunks

# A connection. What waits for its head, its handshake or its next request makes room, the longest
# wait first; the time is longer than clients keep an idle connection to use it again.
CONNECTIONS_MOST = 2048
WAITING_MOST = 512
IDLE_SECONDS = 75.0
LINGER_SECONDS = 5.0  # for what a client still sends when it has its answer
HANDSHAKE_SECONDS = 10.0

# An answer, to a client that has to read it. A chunk is what lies in memory for one that does not.
WRITE_SECONDS = 30.0
CHUNK_BYTES = 64 * 1024
PART_BYTES = 256 * 1024  # of an answer that is in memory as a whole: 9 kB/s are fast enough
WHOLE_BYTES = 32 * 1024  # goes out at once and waits for no reader: a transport takes 64 KiB

# Who stays for long: a worker has one manager, and some people who look.
LISTENERS_MOST = 1024
LOG_READERS_MOST = 64
WAITERS_MOST = 128
