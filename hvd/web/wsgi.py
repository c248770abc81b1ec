"""What gunicorn loads: `hvd.web.wsgi:app`, built of the real parts."""

from hvd.instrument.wsgi import counted
from hvd.runtime import here
from hvd.web.app import create_app

app = counted(create_app(here), here)
