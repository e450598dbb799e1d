"""Serving: one uvicorn process on uvloop; SIGTERM drains and exits with code 0."""

import signal

import uvicorn
from fastapi import FastAPI

from shopcore.settings import ServiceSettings


def serve(settings: ServiceSettings, app: FastAPI) -> int:
    """Serve until told to stop; return the exit code."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.listen_host,
            port=settings.listen_port,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=settings.shutdown_grace_s,
        )
    )

    def stop() -> None:
        server.should_exit = True

    startup = app.state.services.startup
    startup.on_failure = stop
    # Once drained, uvicorn raises the signal again for the handler it found here: a quiet one,
    # so that an orderly stop ends with exit code 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop())
    server.run()
    return 1 if startup.failed or not server.started else 0
