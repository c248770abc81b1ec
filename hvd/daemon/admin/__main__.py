"""`python -m hvd.daemon.admin`: how the master starts an admin server."""

import sys

from hvd.daemon.admin.main import main

sys.exit(main())
