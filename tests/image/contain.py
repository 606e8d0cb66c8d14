"""Runs a program of an unpacked image as a careful container would: the image as its root, read-only; user and group of
the image; no capabilities, none to be had; the network namespace of whoever calls.

    contain.py IMAGE [--mount FROM:TO[:rw]…] [--env NAME=VALUE…] [--user UID:GID] -- PROGRAM [ARGUMENT…]

Must be called by root. The image's folder is changed only where a mount needs a place.
"""

import argparse
import ctypes
import errno
import os
import pathlib
import sys

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
MS_RDONLY, MS_NOSUID, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 32, 4096, 16384, 1 << 18
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38

libc = ctypes.CDLL(None, use_errno=True)


def system(function, *arguments):
    encoded = [a.encode() if isinstance(a, str) else a for a in arguments]
    if getattr(libc, function)(*encoded) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}{arguments}: {os.strerror(number)}")


def bind(source, target, *, writable=False):
    system("mount", str(source), str(target), None, MS_BIND | MS_REC, None)
    if not writable:
        system("mount", None, str(target), None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID, None)


def place(path, like):
    """Where a mount goes, container runtimes make what is missing."""
    if like.is_dir():
        path.mkdir(parents=True, exist_ok=True)
    elif not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("image", type=pathlib.Path)
    parser.add_argument("--mount", action="append", default=[])
    parser.add_argument("--env", action="append", default=[])
    parser.add_argument("--user", default="65532:65532")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    image = options.image.resolve()
    uid, gid = (int(number) for number in options.user.split(":"))

    system("unshare", CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC)
    system("mount", None, "/", None, MS_REC | MS_PRIVATE, None)
    mounts = [mount.split(":") for mount in options.mount] + [["/proc", "/proc"]]
    for source, target, *_ in mounts:
        place(image / target.lstrip("/"), pathlib.Path(source))
    bind(image, image)
    for source, target, *mode in mounts:
        bind(pathlib.Path(source).resolve(), image / target.lstrip("/"), writable=mode == ["rw"])
    os.chroot(image)
    os.chdir("/")
    try:
        os.mkdir("/written")
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
    else:
        sys.exit("contain.py: the root can be written to")

    last = int(pathlib.Path("/proc/sys/kernel/cap_last_cap").read_text())
    for capability in range(last + 1):
        system("prctl", PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    system("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    os.umask(0o022)
    os.execve(options.command[0], options.command, dict(pair.split("=", 1) for pair in options.env))


main()
