"""One session of aiozk, whose ConnectRequest has a session password of one byte.

    aio.py '{"hosts": "127.0.0.1:2281", "path": "/a", "tls": [ca, certificate, key]}'

Prints what it read back. aiozk has no TLS of its own, so its connections are wrapped.
"""

import asyncio
import json
import ssl
import sys

from aiozk import ZKClient

PATIENCE_S = 30


def by_tls(tls):
    ca, certificate, key = tls
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate, key)
    plain = asyncio.open_connection

    async def connect(host, port, **options):
        return await plain(host, port, ssl=context, server_hostname="localhost", **options)

    asyncio.open_connection = connect


async def main():
    arguments = json.loads(sys.argv[1])
    if arguments.get("tls"):
        by_tls(arguments["tls"])
    client = ZKClient(arguments["hosts"])
    await client.start()
    await client.create(arguments["path"], b"from aiozk", ephemeral=True)
    print((await client.get_data(arguments["path"])).decode())
    await client.close()


asyncio.run(asyncio.wait_for(main(), PATIENCE_S))
