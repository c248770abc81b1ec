"""`python -m hvd.jobs`: how the master starts a job runner."""

import sys

from hvd.jobs.run.main import main

sys.exit(main())
