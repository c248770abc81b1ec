"""The app that gunicorn loads, `hvd.web.wsgi:app`, built of the real parts."""

from hvd.instrument.wsgi import counted
from hvd.web.app import create_app
from hvd.web.here import here

app = counted(create_app(here), here)
