"""The service in Django: one part is included, one a class."""

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path
from django.views import View
from django.views.decorators.http import require_http_methods

STATUSES = {"GET": 200, "HEAD": 200, "POST": 201, "DELETE": 204}


class Part(View):
    def get(self, request: HttpRequest, n: str) -> HttpResponse:
        return HttpResponse(n)


@require_http_methods(["GET", "HEAD", "POST", "DELETE"])
def items(request: HttpRequest, n: str) -> HttpResponse:
    return HttpResponse(status=STATUSES[request.method or ""])


def cached(request: HttpRequest, n: str) -> HttpResponse:
    return HttpResponse(status=304)


def missing(request: HttpRequest, n: str) -> HttpResponse:
    raise Http404


def boom(request: HttpRequest, n: str) -> HttpResponse:
    raise RuntimeError(n)


def stream(request: HttpRequest, n: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter("abc"))


def file(request: HttpRequest, n: str) -> FileResponse:
    return FileResponse(open(__file__, "rb"))


urlpatterns = [
    *(path(f"{view.__name__}/<n>", view) for view in (items, cached, missing, boom, stream, file)),
    path("class/<n>", Part.as_view()),
    path("sub/", include(([path("things/<n>", Part.as_view())], "sub"))),
]
