"""A server of the test's own: an asyncio loop on a thread, on a host of network.py or on this one."""

import asyncio
import threading


class Served:
    """
    What opens and what closes it are the subclass's: `async _open()` listens, `async _close()` ends that; both run on the loop, `_loop`, as does
    everything between. `tasks` are those of its sessions, ended with it.
    """

    def __init__(self, name, host=None):
        self.name, self.host = name, host
        self.tasks = set()
        self._loop = self._thread = None

    def start(self):
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True, name=self.name)
        self._thread.start()
        if not started.wait(10) or self._loop is None:
            raise OSError(f"{self.name} cannot listen")
        return self

    def stop(self):
        if self._thread and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopped.set)
            self._thread.join(10)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _run(self, started):
        try:
            if self.host:
                self.host.enter()
            asyncio.run(self._serve(started))
        finally:
            started.set()

    async def _serve(self, started):
        self._stopped = asyncio.Event()
        await self._open()
        self._loop = asyncio.get_running_loop()
        started.set()
        await self._stopped.wait()
        await self._close()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
