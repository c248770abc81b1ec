"""`hvd.gunicorn`: hvd under a configuration of one's own."""

import subprocess
import sys


def test_a_configuration_stays_as_it_is() -> None:
    """Nothing is set in it, and it may be installed twice, as at a reload."""
    code = "import hvd.gunicorn; own = {'workers': 3}; [hvd.gunicorn.install(own) for _ in range(2)]; print(own)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "{'workers': 3}\n"
