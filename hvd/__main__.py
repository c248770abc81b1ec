"""`python -m hvd`: the same as the command `hvd`."""

from hvd.cli.main import main

raise SystemExit(main())
