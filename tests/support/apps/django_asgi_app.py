"""The Django service as an ASGI app."""

import warnings

from django.core.handlers.asgi import ASGIHandler

from tests.support.apps import django_app as django_app

warnings.filterwarnings("ignore", message="StreamingHttpResponse must consume")
app = ASGIHandler()
