"""The product stands on public ground: nothing private or undocumented of the libraries that change it at will."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    names = dict(_imported(tree))
    found = [
        *_imports(tree),
        *_attributes(tree, names),
        *(place for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for place in _class(node, names)),
    ]
    return [f"{line}: {what}" for line, what in sorted(set(found))]


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each local name that stands for something of a library, and what it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in LIBRARIES:
                    yield (
                        alias.asname or alias.name.split(".")[0],
                        alias.name if alias.asname else alias.name.split(".")[0],
                    )
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in LIBRARIES:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            paths = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            paths = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for path in paths:
            library, *rest = path.split(".")
            if library in WITHOUT_ANY or (library in LIBRARIES and any(_is_private(part) for part in rest)):
                yield node.lineno, f"imports {path}"


def _attributes(tree: ast.AST, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            if _is_inside(node):
                yield node.lineno, f"reads {ast.unparse(node)}"
            elif isinstance(node.ctx, ast.Store) and _root(node) in names:
                yield node.lineno, f"patches {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"getattr", "setattr"} and len(node.args) > 1:
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
            is_patch = ast.unparse(node.func) == "setattr" and _root(node.args[0]) in names
            if is_patch or _is_private(str(name)) or name in INSIDES:
                yield node.lineno, f"reads {ast.unparse(node)}"


def _is_inside(node: ast.Attribute) -> bool:
    """Tell whether an attribute is another object's private or undocumented one."""
    owner = ast.unparse(node.value)
    if _is_private(node.attr):
        return owner not in {"self", "cls", "super()", "os"}  # os._exit is documented
    is_of_a_server = owner.rpartition(".")[2] in {"server", "_server", "sio"}
    return (node.attr in INSIDES and owner != "self") or (node.attr == "environ" and is_of_a_server)


def _class(node: ast.ClassDef, names: dict[str, str]) -> Iterator[tuple[int, str]]:
    for base in node.bases:
        root = _root(base)
        if root not in names:
            continue
        path = ast.unparse(base).replace(root, names[root], 1)
        if path not in MAY_BE_SUBCLASSED:
            yield node.lineno, f"subclasses {path}"
            continue
        own = {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute) and _root(one) == "self"}
        own |= {one.name for one in node.body if isinstance(one, ast.FunctionDef)}
        for name in sorted(own & _private_names_of(path)):
            yield node.lineno, f"uses {name} of {path}"


def _private_names_of(path: str) -> set[str]:
    """Return the underscored names that a library's class and its bases use of themselves."""
    module, _, name = path.rpartition(".")
    bases: tuple[Any, ...] = inspect.getmro(getattr(importlib.import_module(module), name))
    methods = [member for base in bases for member in vars(base).values() if inspect.isfunction(member)]
    sources = map(inspect.getsource, methods)  # not of the class: httpx2 states another module than the one it is in
    return {found for source in sources for found in re.findall(r"(?:self\.|def )(_[a-z]\w*)", source)}


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


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
        ("from engineio.async_drivers import eventlet", "imports engineio.async_drivers.eventlet"),
        ("import simple_websocket", "imports simple_websocket"),
        ("from flask_socketio import _SocketIOMiddleware as M", "imports flask_socketio._SocketIOMiddleware"),
        ("from eventlet import wsgi\nclass P(wsgi.HttpProtocol): ...", "subclasses eventlet.wsgi.HttpProtocol"),
        ("import socketio\nclass S(socketio.Server): ...", "subclasses socketio.Server"),
        ("import socketio as s\nclass S(s.Client): ...", "subclasses socketio.Client"),
        (
            "from werkzeug.serving import ThreadedWSGIServer as T\nclass S(T): ...",
            "subclasses werkzeug.serving.ThreadedWSGIServer",
        ),
        ("def f(s): return s.server.eio.sockets", "reads s.server.eio"),
        ("def f(s): return s.server.manager.rooms", "reads s.server.manager"),
        ("class A:\n def f(self): return self._socketio.server.environ", "reads self._socketio.server.environ"),
        ("def f(client): client.eio._trigger_event()", "reads client.eio._trigger_event"),
        ("def f(model): return model._leaves", "reads model._leaves"),
        ("import httpx2\nhttpx2.Client = None", "patches httpx2.Client"),
        ("import httpx2\nsetattr(httpx2, 'Client', None)", "reads setattr(httpx2, 'Client', None)"),
        ("def f(x): return getattr(x, '_pool')", "reads getattr(x, '_pool')"),
        (
            "import flask_socketio\nclass N(flask_socketio.Namespace):\n def _set_socketio(self, s): ...",
            "uses _set_socketio of flask_socketio.Namespace",
        ),
    ],
)
def test_private_ground_is_found(source: str, what: str) -> None:
    assert what in [place.partition(": ")[2] for place in private_places(source)]


@pytest.mark.parametrize(
    "source",
    [
        "import flask_socketio\nclass N(flask_socketio.Namespace):\n def on_connect(self): self._own = 1",
        "import eventlet\neventlet.monkey_patch()",
        "class A:\n def f(self): return self._b + super()._c",
        "import os\nos.environ['A'] = 'b'",
        "def f(request): return request.environ['REMOTE_ADDR']",
    ],
)
def test_public_ground_is_left_alone(source: str) -> None:
    assert private_places(source) == []
