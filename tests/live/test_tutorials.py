"""The services of Flask's, Django's and FastAPI's tutorials, put on hvd as README says: nothing of them is changed."""

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.guest import Guest, Run
from tests.support.http import Connection, Response
from tests.support.proof import proving

TUTORIALS = Path(__file__).parents[1] / "support" / "tutorials"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/json", "X-Token": "fake-super-secret-token"}


class Browser:
    """It keeps cookies, and notes the status that it got for each route."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self.cookies = connection, dict[str, str]()
        self.seen: Counter[tuple[str, int]] = Counter()

    def ask(self, route: str, path: str = "", status: int = 200, **form: str) -> Response:
        body = urlencode(form).encode()
        return self.send("POST" if form else "GET", route, path, status, FORM if form else {}, body)

    def send(
        self, method: str, route: str, path: str, status: int, headers: dict[str, str], body: bytes = b""
    ) -> Response:
        own = {"Host": "localhost", "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        answer = self._connection.request(method, path or route, {**headers, **own}, body)
        assert answer.status == status, answer.body
        name, _, value = answer.headers.get("set-cookie", "").partition(";")[0].partition("=")
        if name:
            self.cookies[name] = value
        self.seen[route, status] += 1
        return answer


def run(*command: str, folder: Path) -> None:
    """A program of the tutorial."""
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def make_flask(folder: Path) -> str:
    shutil.copytree(TUTORIALS / "flaskr", folder, dirs_exist_ok=True)
    run("flask", "--app", "flaskr", "init-db", folder=folder)
    return "flaskr:create_app()"


def use_flask(browser: Browser) -> None:
    account = {"username": "ann", "password": "secret"}
    browser.ask("/hello")
    browser.ask("/create", status=302)
    browser.ask("/auth/register")
    browser.ask("/auth/register", status=302, **account)
    browser.ask("/auth/login", status=200, username="ann", password="wrong")
    browser.ask("/auth/login", status=302, **account)
    browser.ask("/create", status=302, title="First", body="It is.")
    assert b"First" in browser.ask("/").body
    browser.ask("/<int:id>/update", "/1/update", 302, title="Second", body="It was.")
    browser.ask("/<int:id>/update", "/7/update", 404)
    browser.ask("/<int:id>/delete", "/1/delete", 405)
    browser.ask("/<int:id>/delete", "/1/delete", 302, really="yes")
    browser.ask("/static/<path:filename>", "/static/style.css")
    browser.ask("/auth/logout", status=302)
    browser.ask("(unmatched)", "/favicon.ico", 404)


def make_django(folder: Path) -> str:
    run("django", "startproject", "mysite", ".", folder=folder)
    run("django", "startapp", "polls", folder=folder)
    shutil.copytree(TUTORIALS / "polls", folder, dirs_exist_ok=True)
    settings, urls = folder / "mysite" / "settings.py", folder / "mysite" / "urls.py"
    settings.write_text(settings.read_text().replace("INSTALLED_APPS = [", "INSTALLED_APPS = [\n    'polls',"))
    included = "from django.urls import include\nurlpatterns.append(path('polls/', include('polls.urls')))\n"
    urls.write_text(urls.read_text() + included)
    (folder / "polls" / "migrations" / "__init__.py").touch()
    run("manage", "makemigrations", "polls", folder=folder)
    run("manage", "migrate", folder=folder)
    make = "Question.objects.create(question_text='Up?').choice_set.create(choice_text='Sky')"
    run("manage", "shell", "-c", f"from polls.models import Question; {make}", folder=folder)
    return "mysite.wsgi"


def use_django(browser: Browser) -> None:
    assert b"Up?" in browser.ask("/polls/").body
    page = browser.ask("/polls/<int:pk>/", "/polls/1/").body.decode()
    (token,) = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    browser.ask("/polls/<int:question_id>/vote/", "/polls/1/vote/", 200, csrfmiddlewaretoken=token)
    browser.ask("/polls/<int:question_id>/vote/", "/polls/1/vote/", 302, csrfmiddlewaretoken=token, choice="1")
    browser.ask("/polls/<int:question_id>/vote/", "/polls/1/vote/", 403, choice="1")
    assert b"Sky: 1" in browser.ask("/polls/<int:pk>/results/", "/polls/1/results/").body
    browser.ask("/polls/<int:pk>/", "/polls/7/", 404)
    browser.ask("(unmatched)", "/polls", 301)
    browser.ask("/admin/", status=302)
    browser.ask("/admin/login/")
    browser.ask("(unmatched)", "/favicon.ico", 404)


def make_fastapi(folder: Path) -> str:
    shutil.copytree(TUTORIALS / "bigger", folder, dirs_exist_ok=True)
    return "app.main:app"


def use_fastapi(browser: Browser) -> None:
    browser.ask("/", "/?token=jessica")
    browser.ask("/", status=422)
    browser.send("GET", "/items/", "", 200, JSON)
    browser.ask("/items/", status=422)
    browser.send("GET", "/items/{item_id}", "/items/plumbus", 200, JSON)
    browser.send("GET", "/items/{item_id}", "/items/none", 404, JSON)
    browser.send("PUT", "/items/{item_id}", "/items/gun", 403, JSON)
    browser.send("DELETE", "/items/{item_id}", "/items/gun", 405, JSON)
    browser.send("POST", "/admin/", "", 200, JSON)
    browser.send("POST", "/heroes/", "", 201, JSON, b'{"name": "Deadpond"}')
    browser.ask("/heroes/{hero_id}", "/heroes/1")
    browser.send("DELETE", "/heroes/{hero_id}", "/heroes/1", 204, {})
    browser.ask("/heroes/{hero_id}", "/heroes/1", 404)
    browser.ask("/static/{path}", "/static/style.css")
    browser.ask("/docs")
    browser.ask("/openapi.json")
    browser.ask("(unmatched)", "/items", 307)
    browser.ask("(unmatched)", "/favicon.ico", 404)


SERVICES = {
    "flask": (make_flask, use_flask),
    "django": (make_django, use_django),
    "fastapi": (make_fastapi, use_fastapi),
}


def test_an_asgi_app_under_a_worker_that_cannot_serve_it_is_told_what_to_do(tmp_path: Path) -> None:
    """gunicorn's default is such a worker."""
    with Guest(tmp_path, app=make_fastapi(tmp_path), files={}, workers=1) as guest:
        assert guest.get("/docs").status == 500
        assert (
            "hvd: the app is of ASGI, which this class of worker can't serve: set gunicorn's worker_class" in guest.log
        )


@pytest.mark.parametrize("way", ["hvd run", "install"])
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_of_a_tutorial_is_on_hvd_in_one_step(tmp_path: Path, name: str, way: str) -> None:
    """By the command, or by the last lines of its gunicorn.conf.py: each request under its template."""
    make, use = SERVICES[name]
    app = make(tmp_path)
    if way == "hvd run":
        guest: Guest = Run(tmp_path, "--workers", "2", app=app, files={})
    else:
        conf = 'worker_class = "uvicorn_worker.UvicornWorker"\n' if name == "fastapi" else "threads = 2\n"
        guest = Guest(tmp_path, app=app, files={}, conf=conf)
    with guest:
        with proving(guest), guest.connection() as connection:
            browser = Browser(connection)
            use(browser)
        guest.wait_idle()
        assert Counter(guest.counted()) == browser.seen
    assert guest.alarms == []
