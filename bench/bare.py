"""What ingestion over HTTP is compared with: aiohttp that answers 202 and does nothing else. Started by `ingest`."""

import argparse

from aiohttp import web


async def accept(_: web.Request) -> web.Response:
    return web.Response(status=202)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    app = web.Application(client_max_size=16 * 2**20)
    app.router.add_post("/v1/events", accept)
    app.router.add_post("/v1/events/batch", accept)
    web.run_app(app, host="127.0.0.1", port=parser.parse_args().port, access_log=None, print=None)


if __name__ == "__main__":
    main()
