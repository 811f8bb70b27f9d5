"""Process lifecycle: signal handling and graceful shutdown."""

import asyncio
import signal

import structlog

from witnd.config import Config
from witnd.daemon.assembly import Daemon, server_for
from witnd.daemon.process import files
from witnd.daemon.process.reload import Reload
from witnd.daemon.process.systemd import Systemd
from witnd.store.errors import Unsafe
from witnd.store.server.embedded import Embedded

# If Redis is away, the drain cannot end. Nothing is lost by stopping before systemd's SIGKILL.
DRAIN_SECONDS = 20.0
RESTARTS = 5

log = structlog.get_logger()


async def serve(config: Config, *, private: bool, reload: Reload | None = None) -> None:
    """Run the daemon until SIGTERM or SIGINT; a second signal stops it at once. `reload` handles the other signals."""
    files.raise_open_files_limit()
    daemon = Daemon(config, Systemd(), remember=private or config.state_dir_explicit)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    assert task is not None

    def request_stop() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, request_stop)
    if reload is not None:
        reload.install(loop)
    async with server_for(config, private=private) as (server, running):
        watching = asyncio.ensure_future(_keep(running)) if running is not None else None
        serving = asyncio.ensure_future(daemon.run(server))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            waiting = {serving, stopping} | ({watching} if watching is not None else set())
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if watching is not None and watching.done():
                watching.result()
            if not serving.done():
                daemon.stop()
                await asyncio.wait({serving}, timeout=DRAIN_SECONDS)
                if not serving.done():
                    log.warning("daemon.drain_timeout", seconds=DRAIN_SECONDS, reason=daemon.troubles)
                    serving.cancel()
            await serving
        except asyncio.CancelledError:
            log.warning("daemon.forced_exit", reason="second signal")
        finally:
            for one in (serving, stopping, watching):
                if one is not None:
                    one.cancel()
            await asyncio.gather(serving, return_exceptions=True)
    log.info("daemon.stopped")


async def _keep(server: Embedded) -> None:
    """Restart the private server if it dies. The daemon waits as for any Redis."""
    for _ in range(RESTARTS):
        how = await server.wait_exit()
        log.error("embedded.died", how=how, action="starting it again")
        await server.restart()
    raise Unsafe(f"the embedded server died {RESTARTS} times", "see redis/server.log in the state directory")
