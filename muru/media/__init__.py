"""Pictures and sounds that people upload, in the formats that phones and Asterisk want.

What decodes a file of a stranger runs in a process of its own (:mod:`muru.media.worker`), with
little memory, little time and nothing in its environment.
"""


class Refused(Exception):
    """A file is not taken; the text tells its owner why: "The file <text>"."""
