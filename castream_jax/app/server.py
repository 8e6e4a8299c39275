"""The app's own server: on this machine unless told otherwise, and nothing it shows or does asks another one."""

import contextlib
import importlib.util
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

from castream_jax.app.viewer import Viewer
from castream_jax.app.worker import Worker
from castream_jax.data.pictures.decoding import MAX_BYTES
from castream_jax.errors import InputError

HOST, PORT = "127.0.0.1", 7860
EXTRA = "app"
"""The extra of ours that installs what the page is made with."""
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'self'"
)
"""What a page of ours may load, and from where: gradio builds components of strings, hence the words on scripts."""


def check_installed() -> None:
    """Raise `InputError` if gradio is not installed."""
    if importlib.util.find_spec("gradio") is None:
        raise InputError(
            f"the app's page is made with gradio, which is not installed: pip install 'castream-jax[{EXTRA}]'."
        )


def parse_port(text: str) -> int:
    """Return a port, by default `PORT`; 0 takes one that is free."""
    if not text:
        return PORT
    if not text.isdecimal() or int(text) > 65535:
        raise InputError(f"--port is {text!r}: expected a number from 0 (any that is free) to 65535.")
    return int(text)


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
      InputError: the port is taken, or the host is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot listen at --host {host} --port {port} ({reason}): choose another --port, 0 for any that is free, "
            f"and as --host an address of this machine, as {HOST}."
        ) from error


def name_address(listening: socket.socket) -> str:
    """Return the address that a browser opens."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


class OwnHostOnly:
    """Tells browsers, with every answer, to load nothing from elsewhere."""

    def __init__(self, app: Any):
        """`app`: who answers."""
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""

        async def send_with_policy(message: Any) -> None:
            if message["type"] == "http.response.start":
                said = [(b"content-security-policy", POLICY.encode()), (b"referrer-policy", b"no-referrer")]
                message = message | {"headers": [*message.get("headers", ()), *said]}
            await send(message)

        await self._app(scope, receive, send_with_policy)


@contextlib.contextmanager
def serving(viewer: Viewer, host: str) -> Iterator[Any]:
    """Yield a server of the app, for uvicorn's `run(sockets=...)`; what was uploaded is deleted in the end.

    Args:
      viewer: the network.
      host: that it listens at.
    """
    with tempfile.TemporaryDirectory(prefix="castream_app_", ignore_cleanup_errors=True) as folder:
        # Before gradio is imported, which reads them then: nothing is reported, no version looked for.
        os.environ |= {
            "GRADIO_TEMP_DIR": folder,
            "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        import fastapi
        import gradio as gr
        import uvicorn

        from castream_jax.app.interface import build, describe_script

        worker = Worker()
        fonts = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]  # the reader's own
        site = gr.mount_gradio_app(
            fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
            build(viewer, worker),
            path="/",
            server_name=host,
            footer_links=[],
            run_history=False,
            show_error=False,
            max_file_size=MAX_BYTES,
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
            theme=gr.themes.Default(primary_hue="blue", font=fonts, font_mono=["ui-monospace", "monospace"]),
            head=describe_script(),
        )
        try:
            yield uvicorn.Server(
                uvicorn.Config(OwnHostOnly(site), log_level="warning", timeout_graceful_shutdown=1, lifespan="on")
            )
        finally:
            worker.close()


def serve(viewer: Viewer, host: str = HOST, port: int = PORT) -> None:
    """Serve the app until the process is interrupted or told to end.

    Raises:
      InputError: gradio is not installed, or nothing can be served there.
    """
    check_installed()
    signal.signal(
        signal.SIGTERM, signal.default_int_handler
    )  # uvicorn raises it again: what was uploaded must go first
    with listen(host, port) as listening:
        viewer.warm_up()
        with serving(viewer, host) as server:
            print(f"app: {name_address(listening)} (Ctrl-C ends it)", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                server.run(sockets=[listening])
