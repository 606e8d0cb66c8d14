"""A ZooKeeper client in plain sockets, which can say what no library would, and zoogate's assertions."""

import base64
import hashlib
import hmac
import socket
import struct

CREATE, DELETE, GET_DATA, GET_ACL, AUTH, WHO_AM_I = 1, 2, 4, 6, 100, 107
OK, NO_AUTH, INVALID_ACL, AUTH_FAILED, SESSION_CLOSED = 0, -102, -114, -115, -124
CREATOR_ALL = [(31, "auth", "")]


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def mac_of(secret, session_id, identity, is_super=False, purpose=b"zoogate x509 v1\0"):
    flag = b"\1" if is_super else b"\0"
    message = purpose + struct.pack(">Q", session_id) + flag + identity
    return hmac.new(secret, message, hashlib.sha256).digest()


def assertion(secret, session_id, identity, is_super=False):
    """What zoogate puts into the auth packet of the scheme x509."""
    raw = identity.encode()
    mac = mac_of(secret, session_id, raw, is_super)
    return f"zoogate1:{base64url(raw)}:{'super' if is_super else ''}:{base64url(mac)}"


def buffer(data):
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def string(text):
    return buffer(text.encode())


class Closed(Exception):
    """The server ended the connection."""


class Refused(Exception):
    """The server let no session be opened."""


class Client:
    """One connection with an open session."""

    def __init__(self, address, tls=None, resume=None):
        self.socket = socket.create_connection(address, timeout=10)
        try:
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
            self._open(*(resume or (0, bytes(16))))
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _open(self, session_id, password):
        self._send(struct.pack(">iqiQ", 0, 0, 10_000, session_id) + buffer(password) + b"\0")
        try:
            reply = self._receive()
        except (Closed, OSError) as error:
            raise Refused(str(error)) from error
        _, timeout, self.session_id, length = struct.unpack_from(">iiQi", reply)
        if timeout <= 0:
            raise Refused("session expired")
        self.password = reply[20:20 + length]
        self.xid = 0

    @property
    def peer(self):
        """This end's address, as the server's log prints it."""
        host, port = self.socket.getsockname()[:2]
        return f"/{host}:{port}"

    def auth(self, data, scheme="x509"):
        """Sends an auth packet and returns the error of its reply."""
        data = data.encode() if isinstance(data, str) else data
        self._send(struct.pack(">iii", -4, AUTH, 0) + string(scheme) + buffer(data))
        xid, _, error = struct.unpack_from(">iqi", self._receive())
        assert xid == -4, xid
        return error

    def request(self, opcode, body=b""):
        """Sends a request and returns the error and the body of its reply."""
        self.xid += 1
        self._send(struct.pack(">ii", self.xid, opcode) + body)
        reply = self._receive()
        xid, _, error = struct.unpack_from(">iqi", reply)
        assert xid == self.xid, (xid, self.xid)
        return error, reply[16:]

    def create(self, path, acl=None):
        body = string(path) + buffer(b"data") + struct.pack(">i", len(acl or CREATOR_ALL))
        for permissions, scheme, name in acl or CREATOR_ALL:
            body += struct.pack(">i", permissions) + string(scheme) + string(name)
        return self.request(CREATE, body + struct.pack(">i", 0))[0]

    def delete(self, path):
        return self.request(DELETE, string(path) + struct.pack(">i", -1))[0]

    def read(self, path):
        """The error of a getData."""
        return self.request(GET_DATA, string(path) + b"\0")[0]

    def acl(self, path):
        error, body = self.request(GET_ACL, string(path))
        assert error == OK, error
        return parse_ids(body, with_permissions=True)

    def who_am_i(self):
        """The ids of the session, but for its address."""
        error, body = self.request(WHO_AM_I)
        assert error == OK, error
        return sorted(f"{scheme}:{name}" for scheme, name in parse_ids(body) if scheme != "ip")

    def is_closed(self):
        """Waits for the server to end the connection; false if it sends something else or nothing."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def _send(self, frame):
        self.socket.sendall(struct.pack(">i", len(frame)) + frame)

    def _receive(self):
        return self._exactly(struct.unpack(">i", self._exactly(4))[0])

    def _exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.socket.recv(count - len(data))
            if not more:
                raise Closed("the server closed the connection")
            data += more
        return data


def parse_ids(body, with_permissions=False):
    count, at, ids = struct.unpack_from(">i", body)[0], 4, []
    for _ in range(count):
        entry = []
        if with_permissions:
            entry.append(struct.unpack_from(">i", body, at)[0])
            at += 4
        for _ in range(2):
            length = struct.unpack_from(">i", body, at)[0]
            entry.append(body[at + 4:at + 4 + length].decode())
            at += 4 + length
        ids.append(tuple(entry))
    return ids
