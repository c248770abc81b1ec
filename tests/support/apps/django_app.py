"""The Django service as a WSGI app."""

import django
from django.conf import settings

settings.configure(
    ROOT_URLCONF="tests.support.apps.django_urls",
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="x" * 50,
    LOGGING_CONFIG=None,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
)
django.setup()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402

app = WSGIHandler()
