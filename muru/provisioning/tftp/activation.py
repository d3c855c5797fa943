"""The socket that systemd opened for us, on a port that we may not open ourselves.

systemd passes open sockets from file descriptor 3 on. ``LISTEN_PID`` says for which process they
are meant, ``LISTEN_FDS`` how many there are. The socket's unit should say ``PassPacketInfo=yes``:
else of what came before the server's start it is not known to which address of ours it was sent.
"""

import os
import socket

_FIRST = 3
_MOST = 64  # descriptors that are looked at


def inherited_socket() -> socket.socket | None:
    """The first bound UDP socket among those passed to this process; None if there is none.

    It is a duplicate, to be closed by the caller; the next call returns another. Whatever the
    environment says, no descriptor is closed or changed.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = os.environ.get("LISTEN_FDS", "")
    if not (count.isascii() and count.isdigit() and len(count) <= len(str(_MOST))):
        return None
    for descriptor in range(_FIRST, _FIRST + min(int(count), _MOST)):
        if found := _udp_socket(descriptor):
            return found
    return None


def _udp_socket(descriptor: int) -> socket.socket | None:
    try:
        copy = os.dup(descriptor)
    except OSError:
        return None
    try:
        opened = socket.socket(fileno=copy)
    except OSError:  # some other kind of file
        os.close(copy)
        return None
    internet = opened.family in (socket.AF_INET, socket.AF_INET6)
    if internet and opened.type == socket.SOCK_DGRAM and opened.getsockname()[1]:
        return opened
    opened.close()
    return None
