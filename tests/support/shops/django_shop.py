"""The shop in Django, with django-prometheus."""

import django
from django.conf import settings

settings.configure(
    ROOT_URLCONF="tests.support.shops.django_shop",
    SECRET_KEY="x" * 50,
    ALLOWED_HOSTS=["*"],
    LOGGING_CONFIG=None,
    INSTALLED_APPS=["django_prometheus"],
    MIDDLEWARE=[
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        "django.middleware.common.CommonMiddleware",  # which gives responses their Content-Length
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ],
)
django.setup()

from django.core.handlers.wsgi import WSGIHandler  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import include, path  # noqa: E402

from tests.support.shops import measures  # noqa: E402


def order(request: HttpRequest, item: str, pieces: int) -> HttpResponse:
    status, text = measures.answer(item, pieces)
    return HttpResponse(text, status=status)


urlpatterns = [
    path("orders/<str:item>/<int:pieces>", order, name="order"),
    path("", include("django_prometheus.urls")),
]
app = WSGIHandler()
