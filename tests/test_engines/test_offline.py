"""No socket of ours leads to another computer, unless the user asked for it."""

import json
import subprocess
import sys

import pytest

TRIES = """
import json, socket, sys, urllib.request
import engines
from engines import offline
way = sys.argv[1]
wish = offline.online()
if way in ("online", "online once"):
    wish.__enter__()
if way == "online once":
    wish.__exit__(None, None, None)
socket.setdefaulttimeout(0.2)
def outcome(attempt):
    try:
        attempt()
    except OSError as error:
        return "refused" if "works offline" in str(error) else "not there"
    return "done"
def datagram(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.sendto(b"hello", (host, 9))
def listen(host):
    with socket.socket() as one:
        one.bind((host, 0))
def open_url(url):
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url)
print(json.dumps({
    "address": outcome(lambda: socket.create_connection(("192.0.2.7", 80))),
    "address 6": outcome(lambda: socket.create_connection(("2001:db8::7", 80))),
    "name": outcome(lambda: socket.getaddrinfo("example.invalid", 80)),
    "name of an address": outcome(lambda: socket.getnameinfo(("192.0.2.7", 80), 0)),
    "page": outcome(lambda: open_url("http://192.0.2.7/")),
    "datagram": outcome(lambda: datagram("192.0.2.7")),
    "here": outcome(lambda: socket.create_connection(("127.0.0.1", 9))),
    "here 6": outcome(lambda: socket.create_connection(("::1", 9))),
    "listen here": outcome(lambda: listen("127.0.0.1")),
    "listen": outcome(lambda: listen("192.0.2.7")),
    "listen to all": outcome(lambda: listen("")),
    "listen to all by number": outcome(lambda: listen("0.0.0.0")),
    "hosts": offline.refused_hosts(),
    "counts": vars(offline.connections()),
}))
"""


def tried(way: str) -> dict[str, str]:
    run = subprocess.run(
        [sys.executable, "-c", TRIES, way], capture_output=True, text=True, check=True
    )
    found: dict[str, str] = json.loads(run.stdout)
    return found


def test_other_computers_are_refused_and_counted() -> None:
    found = tried("offline")
    hosts = found.pop("hosts")
    assert found.pop("counts") == {"made": 0, "refused": 9, "cameras": 0}
    here = {name: found.pop(name) for name in ("here", "here 6", "listen here")}
    assert found == dict.fromkeys(found, "refused")
    assert len(hosts) == len(found) == 9
    assert "refused" not in here.values()


def test_a_download_that_was_asked_for_is_let_through_while_it_lasts() -> None:
    found = tried("online")
    assert "refused" not in found.values()
    assert found["counts"]["made"] >= 7
    assert found["counts"]["refused"] == 0
    assert tried("online once")["address"] == "refused"


def test_switches_are_set_before_any_library_is_loaded() -> None:
    code = (
        "import engines, os, sys; print(os.environ['HF_HUB_OFFLINE'], 'onnxruntime' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["1", "False"]


@pytest.mark.parametrize("address", [None, "/tmp/socket", b"\\0abstract", ()])
def test_addresses_of_this_computer_pass(address: object) -> None:
    from engines import offline

    offline._guard.check(address, "socket.connect")
