"""What gunicorn loads: `hvd.web.wsgi:app`, built of the real parts."""

from hvd.runtime import here
from hvd.web.app import create_app
from hvd.web.counting import counted

app = counted(create_app(here), here)
