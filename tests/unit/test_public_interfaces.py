"""The product stands on public ground: nothing private or undocumented of the libraries that change it at will."""

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest

from config.secrets import PROJECT_ROOT

WITHOUT_ANY = {"engineio", "simple_websocket", "wsproto"}
"""Libraries below those that are used: anything taken from them is an inside."""

OF_THE_WIRE = {"eventlet", "socketio", "flask_socketio", "werkzeug", "websocket", "httpx2", "httpcore2"}
LIBRARIES = WITHOUT_ANY | OF_THE_WIRE | {"httpx", "httpcore", "huggingface_hub", "sklearn", "shap"}
MAY_BE_SUBCLASSED = {
    "flask_socketio.Namespace",
    "werkzeug.serving.WSGIRequestHandler",
    "httpx2.BaseTransport",
    "sklearn.base.BaseEstimator",
    "sklearn.base.TransformerMixin",
}
"""Extension points that the libraries' documentation names."""

SERVERS = {"eio", "manager", "async_drivers", "namespace_handlers", "sockio_mw", "server_options"}
INSIDES = SERVERS | {"read_loop_task", "ws"}
"""Attributes without an underscore that no documentation names; ``environ`` is one of servers alone."""

PRODUCT = ("common", "config", "server", "client", "launcher.py", "train_model.py")


def product_files() -> list[Path]:
    found = [PROJECT_ROOT / name for name in PRODUCT]
    return [file for path in found for file in (path.rglob("*.py") if path.is_dir() else [path])]


def private_places(source: str) -> list[str]:
    """Return, as ``line: what``, every use of private ground in a module."""
    tree = list(ast.walk(ast.parse(source)))
    imported = [one for node in tree if isinstance(node, ast.Import | ast.ImportFrom) for one in _imported(node)]
    names = {name: path for name, path, _ in imported}
    found = [f"{line}: imports {path}" for _, path, line in imported if _is_inside(path)]
    for node in tree:
        if isinstance(node, ast.Attribute) and (what := _of_attribute(node, names)):
            found.append(f"{node.lineno}: {what} {ast.unparse(node)}")
        for base in node.bases if isinstance(node, ast.ClassDef) else ():
            root, dot, rest = ast.unparse(base).partition(".")
            path = names.get(root, "") + dot + rest
            if _is_library(path) and path not in MAY_BE_SUBCLASSED:
                found.append(f"{base.lineno}: subclasses {path}")
    return found


def _imported(node: ast.Import | ast.ImportFrom) -> list[tuple[str, str, int]]:
    """Return the local name that an import gives, what that stands for, and its line."""
    module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
    return [(one.asname or one.name.split(".")[0], module + one.name, node.lineno) for one in node.names]


def _is_inside(path: str) -> bool:
    return path.partition(".")[0] in WITHOUT_ANY or (_is_library(path) and any(map(_is_private, path.split("."))))


def _of_attribute(node: ast.Attribute, names: Mapping[str, str]) -> str | None:
    """Name another object's private or undocumented attribute, and what is put into a library."""
    owner = ast.unparse(node.value)
    is_of_a_server = owner.rpartition(".")[2] in {"server", "_server", "sio"}
    if (
        (_is_private(node.attr) and owner not in {"self", "cls", "super()", "os"})  # os._exit is documented
        or (node.attr in INSIDES and owner != "self")
        or (node.attr == "environ" and is_of_a_server)
    ):
        return "reads"
    is_patch = isinstance(node.ctx, ast.Store) and _is_library(names.get(owner.partition(".")[0], ""))
    return "patches" if is_patch else None


def _is_library(path: str) -> bool:
    return path.partition(".")[0] in LIBRARIES


def _is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def test_the_product_stands_on_public_ground() -> None:
    found = {
        file.relative_to(PROJECT_ROOT): private_places(file.read_text(encoding="utf-8")) for file in product_files()
    }
    assert len(found) > 100
    assert {file: places for file, places in found.items() if places} == {}


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("from eventlet.wsgi import _AlreadyHandled", "imports eventlet.wsgi._AlreadyHandled"),
        ("from eventlet import wsgi\nclass P(wsgi.HttpProtocol): ...", "subclasses eventlet.wsgi.HttpProtocol"),
        ("import socketio as s\nclass S(s.Client): ...", "subclasses socketio.Client"),
        ("def f(s): return s.server.eio.sockets", "reads s.server.eio"),
        ("class A:\n def f(self): return self._socketio.server.environ", "reads self._socketio.server.environ"),
        ("def f(model): return model._leaves", "reads model._leaves"),
        ("import httpx2\nhttpx2.Client = None", "patches httpx2.Client"),
    ],
)
def test_private_ground_is_found(source: str, what: str) -> None:
    assert what in [place.partition(": ")[2] for place in private_places(source)]
