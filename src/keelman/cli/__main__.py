"""`python -m keelman.cli` is `keelman`."""

from keelman.cli import main

main()
