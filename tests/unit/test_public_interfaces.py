"""The product stands on public ground: nothing private or undocumented of the libraries that change it at will."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.secrets import PROJECT_ROOT

LIBRARIES = {
    *("eventlet", "engineio", "socketio", "flask_socketio", "werkzeug", "simple_websocket", "websocket", "wsproto"),
    *("httpx", "httpx2", "httpcore", "httpcore2", "huggingface_hub", "sklearn", "shap"),
}
MAY_BE_SUBCLASSED = {
    "flask_socketio.Namespace",
    "socketio.Namespace",
    "socketio.ClientNamespace",
    "werkzeug.serving.WSGIRequestHandler",
    "httpx2.BaseTransport",
    "sklearn.base.BaseEstimator",
    "sklearn.base.TransformerMixin",
}
"""Extension points that the libraries' documentation names."""

WITHOUT_ANY = {"engineio", "simple_websocket", "wsproto"}
"""Libraries below those that are used: whatever is taken from them is an inside."""

INSIDES = {
    "eio",
    "manager",
    "async_drivers",
    "namespace_handlers",
    "sockio_mw",
    "server_options",
    "read_loop_task",
    "ws",
}
"""Attributes without an underscore that no documentation names; ``environ`` is one of servers alone."""

PRODUCT = ("common", "config", "server", "client", "launcher.py", "train_model.py")


def product_files() -> list[Path]:
    found = [PROJECT_ROOT / name for name in PRODUCT]
    return [file for path in found for file in (path.rglob("*.py") if path.is_dir() else [path])]


def private_places(source: str) -> list[str]:
    """Return, as ``line: what``, every use of private ground in a module."""
    tree = ast.parse(source)
    imported = list(_imported(tree))
    names = {name: path for _, name, path in imported}
    libraries = {name for name, path in names.items() if path.partition(".")[0] in LIBRARIES}
    found = [(line, _of_import(path)) for line, _, path in imported]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            found.append((node.lineno, _of_attribute(node, libraries)))
        elif isinstance(node, ast.ClassDef):
            found += [(node.lineno, _of_base(base, names)) for base in node.bases]
    return [f"{line}: {what}" for line, what in sorted({(line, what) for line, what in found if what})]


def _imported(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Yield the line of each import, the local name it gives, and what that stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                yield node.lineno, alias.asname or alias.name.split(".")[0], module + alias.name


def _of_import(path: str) -> str | None:
    library, *rest = path.split(".")
    is_inside = library in WITHOUT_ANY or (library in LIBRARIES and any(map(_is_private, rest)))
    return f"imports {path}" if is_inside else None


def _of_attribute(node: ast.Attribute, libraries: set[str]) -> str | None:
    """Name another object's private or undocumented attribute, and what is put into a library."""
    owner = ast.unparse(node.value)
    is_of_a_server = owner.rpartition(".")[2] in {"server", "_server", "sio"}
    if (
        (_is_private(node.attr) and owner not in {"self", "cls", "super()", "os"})  # os._exit is documented
        or (node.attr in INSIDES and owner != "self")
        or (node.attr == "environ" and is_of_a_server)
    ):
        return f"reads {ast.unparse(node)}"
    is_patch = isinstance(node.ctx, ast.Store) and owner.partition(".")[0] in libraries
    return f"patches {ast.unparse(node)}" if is_patch else None


def _of_base(base: ast.expr, names: dict[str, str]) -> str | None:
    root, dot, rest = ast.unparse(base).partition(".")
    path = names.get(root, "") + dot + rest
    is_library = path.partition(".")[0] in LIBRARIES
    return f"subclasses {path}" if is_library and path not in MAY_BE_SUBCLASSED else None


def _is_private(name: str) -> bool:
    return name.startswith("_") and not (name.startswith("__") and name.endswith("__"))


def places_of(file: Path) -> list[str]:
    return private_places(file.read_text(encoding="utf-8"))


def test_the_product_stands_on_public_ground() -> None:
    found = {str(file.relative_to(PROJECT_ROOT)): places for file in product_files() if (places := places_of(file))}
    assert found == {}


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("from eventlet.wsgi import _AlreadyHandled", "imports eventlet.wsgi._AlreadyHandled"),
        ("import engineio", "imports engineio"),
        ("from eventlet import wsgi\nclass P(wsgi.HttpProtocol): ...", "subclasses eventlet.wsgi.HttpProtocol"),
        ("import socketio as s\nclass S(s.Client): ...", "subclasses socketio.Client"),
        ("def f(s): return s.server.eio.sockets", "reads s.server.eio"),
        ("def f(s): return s.server.manager.rooms", "reads s.server.manager"),
        ("class A:\n def f(self): return self._socketio.server.environ", "reads self._socketio.server.environ"),
        ("def f(model): return model._leaves", "reads model._leaves"),
        ("import httpx2\nhttpx2.Client = None", "patches httpx2.Client"),
    ],
)
def test_private_ground_is_found(source: str, what: str) -> None:
    assert what in [place.partition(": ")[2] for place in private_places(source)]
