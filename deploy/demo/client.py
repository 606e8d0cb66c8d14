"""An application of the demo: an ordinary kazoo client with a client certificate, and nothing that knows of zoogate.

    client.py HOST:PORT DIRECTORY NAME create|read PATH

DIRECTORY holds ca.crt, NAME.crt and NAME.key.
"""

import logging
import sys

from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.security import CREATOR_ALL_ACL


def main(hosts, directory, name, action, path):
    logging.basicConfig(level=logging.CRITICAL)
    client = KazooClient(
        hosts=hosts,
        use_ssl=True,
        ca=f"{directory}/ca.crt",
        certfile=f"{directory}/{name}.crt",
        keyfile=f"{directory}/{name}.key",
    )
    client.start(timeout=15)
    if action == "create":
        # "Whoever I am may do everything": needs an identity, and alice has given neither user nor password.
        print(f"{name} created", client.create(path, b"only for alice", acl=CREATOR_ALL_ACL))
        for entry in client.get_acls(path)[0]:
            print(f"its ACL: {entry.id.scheme}:{entry.id.id} {','.join(entry.acl_list)}")
    else:
        try:
            print(f"{name} read {path}:", client.get(path)[0].decode())
        except NoAuthError:
            print(f"{name} read {path}: denied (NoAuth)")
    client.stop()
    client.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
