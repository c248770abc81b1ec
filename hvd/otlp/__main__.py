"""`python -m hvd.otlp`: how the master starts an exporter."""

import sys

from hvd.otlp.main import main

sys.exit(main())
