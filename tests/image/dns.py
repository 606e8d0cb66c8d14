"""A name server on 127.0.0.1 that knows one name: every question for an IPv4 address is answered with 127.0.0.1."""

import socket
import struct

A = 1

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("127.0.0.1", 53))
    print("ready", flush=True)
    while True:
        query, client = server.recvfrom(4096)
        end = query.index(b"\0", 12) + 5
        wanted, = struct.unpack(">H", query[end - 4:end - 2])
        answers = 1 if wanted == A else 0
        head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, answers, 0, 0)
        # A pointer to the question's name, then type, class, seconds to live, and the address.
        record = struct.pack(">HHHIH4s", 0xC00C, A, 1, 60, 4, socket.inet_aton("127.0.0.1"))
        server.sendto(head + query[12:end] + record * answers, client)
