"""Routes of Django projects, WSGI and ASGI."""

import sys
from types import ModuleType
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views import View

from hvd.instrument.django import template_of
from hvd.instrument.routes import UNMATCHED, listen
from tests.unit.instrument.frameworks import asked, awaited

URLS = "tests_unit_urls"
EXPECTED = {
    "GET /": (200, "/"),
    "GET /polls/1/": (200, "/polls/<int:pk>/"),
    "PUT /polls/1/": (405, "/polls/<int:pk>/"),
    "GET /polls/1": (301, UNMATCHED),
    "GET /polls/gone/a/": (404, "/polls/gone/<name>/"),
    "GET /polls/votes/7/": (200, "/polls/votes/<int:pk>/"),
    "GET /polls/votes/of/1999/": (200, "/polls/votes/of/(?P<year>[0-9]{4})/"),
    "GET /archive/1999/": (200, "/archive/(?P<year>[0-9]{4})/"),
    "GET /none": (404, UNMATCHED),
}


class Poll(View):
    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        return HttpResponse("poll")


def view(request: HttpRequest, **_: Any) -> HttpResponse:
    return HttpResponse("it")


def gone(request: HttpRequest, name: str) -> HttpResponse:
    raise Http404


@pytest.fixture(scope="module", autouse=True)
def project() -> None:
    """A project of one file."""
    urls = sys.modules[URLS] = ModuleType(URLS)
    votes = [path("<int:pk>/", view, name="vote"), re_path("^of/(?P<year>[0-9]{4})/$", view)]
    polls = [
        path("<int:pk>/", Poll.as_view()),
        path("gone/<name>/", gone),
        path("votes/", include((votes, "votes"), namespace="all")),
    ]
    urls.urlpatterns = [  # type: ignore[attr-defined]
        path("", view),
        path("polls/", include((polls, "polls"))),
        re_path(r"^archive/(?P<year>[0-9]{4})/$", view),
    ]
    middleware = ["django.middleware.common.CommonMiddleware"]
    settings.configure(ROOT_URLCONF=URLS, ALLOWED_HOSTS=["*"], SECRET_KEY="x" * 50, MIDDLEWARE=middleware)
    django.setup()
    listen()


def test_the_route_is_the_pattern_with_those_of_includes() -> None:
    """Of a regular expression its text."""
    assert asked(WSGIHandler(), EXPECTED) == EXPECTED


def test_so_it_is_under_asgi() -> None:
    """It has the same resolver."""
    assert awaited(ASGIHandler(), EXPECTED) == EXPECTED


@pytest.mark.parametrize(
    ("route", "template"),
    [("", "/"), ("a/<b>", "/a/<b>"), ("^a$", "/a"), (r"^/a/\d\Z", r"/a/\d"), ("A/Z", "/A/Z")],
)
def test_anchors_are_no_part_of_a_template(route: str, template: str) -> None:
    """And each begins with a slash."""
    assert template_of(route) == template
