"""`python -m hvd.agg`: how the master starts an aggregator."""

import sys

from hvd.agg.main import main

sys.exit(main())
