"""A TFTP server that only reads: ``packet`` is the wire's format, ``transfer`` the protocol.

``server`` joins them to sockets and clocks, and knows no files: what a name stands for is its
caller's to say. RFC 1350 with the options of RFC 2347, 2348 (blksize) and 2349 (tsize, timeout).
Windows of several blocks (RFC 7440) are left out: no phone is known to ask for them.
"""
