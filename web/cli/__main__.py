"""`python -m web.cli` is the `baton` command."""

from web.cli import main

main()
