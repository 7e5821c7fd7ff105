from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from partae.data import places
from partae.data.places import downloaded


def test_a_network_that_never_answers_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", lambda *_: time.sleep(3))
    monkeypatch.setattr(places, "TIMEOUT", 0.2)
    monkeypatch.setattr(places, "getproxies", dict)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="did not answer"), downloaded("http://example.org/images", Path):
        pass
    assert time.monotonic() - start < 2
