"""A hub that does not answer is told of once, however often it is asked."""

import logging

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils import http_backoff

from castream_jax.errors import InputError
from castream_jax.weights.hub import download
from castream_jax.weights.retries import LOUD


@pytest.fixture
def no_waiting(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)


def test_all_attempts_are_one_line(monkeypatch, caplog, no_waiting):
    """The library's own loop, against a port where nobody listens."""

    def asks(repository: str, name: str) -> str:
        try:
            http_backoff("HEAD", "http://127.0.0.1:9/")
        except Exception as error:
            raise LocalEntryNotFoundError("no connection") from error
        raise AssertionError

    caplog.set_level(logging.WARNING)
    for name in LOUD:
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
        assert logging.getLogger(name).filters == []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", asks)
    with pytest.raises(InputError, match="the hub cannot be reached"):
        download("hf://somebody/digits/model.safetensors")
    (said,) = caplog.messages
    assert said.startswith("hf://somebody/digits/model.safetensors: the hub does not answer (")
    assert "It is asked again" in said
    assert all(logging.getLogger(name).filters == [] for name in LOUD)
