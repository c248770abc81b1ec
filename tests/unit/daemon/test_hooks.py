"""hvd's parts and the user's in one hook each; and what hvd relies on in gunicorn: read in 27.0.1."""

import inspect
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.arbiter import Arbiter
from gunicorn.config import Config
from gunicorn.http.errors import InvalidHeader

from hvd.daemon import conf, hooks
from tests.unit.daemon.test_arbiter import source

ARITIES = {name: len(inspect.signature(getattr(Config(), name)).parameters) for name in hooks.HOOKS}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is called, in order; hvd's parts only say so."""
    calls: list[str] = []
    for name in hooks.HOOKS:
        monkeypatch.setattr(hooks, name, lambda *args, name=name: calls.append(f"hvd's {name}"))
    return calls


def configured(**own: Any) -> Config:
    """gunicorn's settings with these hooks of the user's, and hvd's around them."""
    cfg = Config()
    for name, hook in own.items():
        cfg.set(name, hook)
    hooks.compose(cfg)
    return cfg


def call(cfg: Config, name: str, server: object = None) -> None:
    getattr(cfg, name)(server, *[None] * (ARITIES[name] - 1))


def own_hook(name: str, calls: list[str]) -> Any:
    """A function of the user's with as many parameters as gunicorn wants."""
    note = f"own {name}"
    by_arity = {
        1: lambda a: calls.append(note),
        2: lambda a, b: calls.append(note),
        4: lambda a, b, c, d: calls.append(note),
    }
    return by_arity[ARITIES[name]]


@pytest.mark.parametrize("name", hooks.HOOKS)
def test_both_parts_of_a_hook_are_called(name: str, calls: list[str]) -> None:
    """hvd's first at a beginning, last at an end; once, also where gunicorn reloads with the same settings."""
    cfg = configured(**{name: own_hook(name, calls)})
    hooks.compose(cfg)
    call(cfg, name)
    both = [f"hvd's {name}", f"own {name}"]
    assert calls == (both if name in hooks.BEGINNINGS else both[::-1])


@pytest.mark.parametrize("name", hooks.HOOKS)
def test_a_hook_that_nobody_has_set_is_hvds_alone(name: str, calls: list[str]) -> None:
    """So that a request pays for no call more."""
    cfg = configured()
    assert getattr(cfg, name) is getattr(hooks, name)


def test_what_another_app_is_asked_is_its_own_business(monkeypatch: pytest.MonkeyPatch) -> None:
    """hvd refuses requests without Host for its own endpoints alone."""
    monkeypatch.setattr(conf, "is_guest", lambda: True)
    cfg = configured()
    assert cfg.settings["pre_request"].value is cfg.settings["pre_request"].default


def test_a_post_request_with_fewer_parameters_is_called_as_gunicorn_would(calls: list[str]) -> None:
    """gunicorn takes two, three or four of them."""
    cfg = configured(post_request=lambda worker, req: calls.append("own"))
    call(cfg, "post_request")
    assert calls == ["hvd's post_request", "own"]


@pytest.mark.parametrize("name", hooks.CONTAINED)
def test_an_exception_of_the_users_part_does_not_reach_the_masters_loop(
    name: str, calls: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with the hook's name, and hvd's part is done."""

    def failing(server: object, *args: object) -> None:
        raise ValueError("own")

    cfg = Config()
    cfg.settings[name].value = failing
    hooks.compose(cfg)
    call(cfg, name, SimpleNamespace(log=logging.getLogger("test")))
    assert calls == [f"hvd's {name}"]
    assert f"the hook {name} failed" in caplog.text


def test_an_end_is_hvds_too_where_the_users_part_fails(calls: list[str]) -> None:
    """The block is removed, whatever the user's on_exit does."""

    def failing(server: object) -> None:
        raise ValueError("own")

    cfg = configured(on_exit=failing)
    with pytest.raises(ValueError, match="own"):
        call(cfg, "on_exit")
    assert calls == ["hvd's on_exit"]


def test_every_start_and_reload_begins_with_settings_that_are_complete() -> None:
    """`setup` comes before any hook, when command line and file have been read."""
    setup = source(inspect.unwrap(Arbiter.setup))
    assert setup.index("self.cfg = app.cfg") < setup.index("self.worker_class = self.cfg.worker_class")
    init, reload = source(Arbiter.__init__), source(Arbiter.reload)
    assert "self.setup(app)" in init
    assert reload.index("self.app.reload()") < reload.index("self.setup(self.app)") < reload.index("cfg.on_reload")


def test_the_arbiter_of_this_process_is_taken_hold_of_once(monkeypatch: pytest.MonkeyPatch, calls: list[str]) -> None:
    """However often the settings are imported."""
    settings: list[Config] = []
    monkeypatch.setattr(Arbiter, "setup", lambda server, app: settings.append(app.cfg))
    monkeypatch.setattr(hooks.conf, "install_front", lambda cfg: "")  # there are no settings, unless a test left some
    hooks.take_hold()
    hooks.take_hold()
    cfg = Config()
    Arbiter.setup(SimpleNamespace(log=logging.getLogger("gunicorn.error")), SimpleNamespace(cfg=cfg))
    assert settings == [cfg]
    assert cfg.on_starting is hooks.on_starting


@pytest.mark.parametrize(
    ("version", "headers", "passes"),
    [
        ((1, 1), ["HOST"], True),
        ((1, 1), ["ACCEPT", "HOST"], True),
        ((1, 1), [], False),
        ((1, 1), ["X-HOST", "HOSTS"], False),
        ((1, 9), [], False),
        ((1, 0), [], True),
        ((2, 0), [], True),
    ],
)
def test_a_request_of_http_1_1_needs_a_host(version: tuple[int, int], headers: list[str], passes: bool) -> None:
    """RFC 9112, section 3.2: what gunicorn's parser would have raised, it answers with 400."""
    req = SimpleNamespace(version=version, headers=[(name, "x") for name in headers], method="GET", path="/")
    worker = SimpleNamespace(log=SimpleNamespace(error_log=logging.getLogger("gunicorn.error"), debug=None))
    if passes:
        hooks.pre_request(worker, req)
        return
    with pytest.raises(InvalidHeader, match="HOST is missing"):
        hooks.pre_request(worker, req)


@pytest.mark.parametrize("has_level", [True, False])
def test_requests_are_named_in_the_log_at_debug_as_gunicorn_does(has_level: bool) -> None:
    """A logger of another kind, which has no level to ask for, decides itself."""
    said: list[tuple[str, ...]] = []
    log = SimpleNamespace(debug=lambda *text: said.append(text))
    if has_level:
        log.error_log = logging.Logger("debugging", logging.DEBUG)
    hooks.pre_request(SimpleNamespace(log=log), SimpleNamespace(version=(1, 0), headers=[], method="GET", path="/a"))
    assert said == [("%s %s", "GET", "/a")]
    assert '"%s %s", req.method, req.path' in inspect.getsource(Config().settings["pre_request"].default)
