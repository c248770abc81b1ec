"""`python -m hvd`: the same as the command `hvd`."""

from hvd.cli import main

raise SystemExit(main())
