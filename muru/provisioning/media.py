"""The media of a phone's lines, below the folder of its token.

``snom/k/<token>/media/2001/<version>/ring.wav``: the version changes with the content, for phones
that fetch a URL only once. It may be left out, and so may the number: then it is the first line
that has such a medium.
"""

import re
from collections.abc import Mapping
from urllib.parse import quote

from muru.errors import Unavailable
from muru.flavor import MediaDescriptor
from muru.media import Refused, formats, names
from muru.media.library import Library, version_of
from muru.provisioning.lookup import DeviceRecord, LineRecord
from muru.provisioning.request import Answer
from muru.registry import Registry

FOLDER = "media/"

_NAME = re.compile(r"media/(?:(?P<number>\d{1,15})/(?:[0-9a-f]{8}/)?)?(?P<name>[^/]{1,200})")
_VERSION = 8  # characters


def media_urls(
    descriptors: Mapping[str, MediaDescriptor], line: LineRecord, url: str
) -> dict[str, str]:
    """Return the URLs of a line's media by their keys, below the phone's own *url*.

    What only Asterisk plays is among them: what a template uses is up to its author.
    """
    found = {}
    for key, descriptor in descriptors.items():
        if digest := line.media.get(key):
            form = descriptor.out_format
            version = version_of(digest, form) if form is not None else digest
            name = quote(names.filename(key, descriptor))
            found[key] = f"{url}{FOLDER}{line.number}/{version[:_VERSION]}/{name}"
    return found


async def answer(library: Library, registry: Registry, device: DeviceRecord, name: str) -> Answer:
    """Return the medium of *device* that *name* means, below the folder of its token.

    The status is 404 if there is none, and 503 if it cannot be had at the moment.
    """
    flavor, parts = registry.by_name(device.flavor), _NAME.fullmatch(name)
    if flavor is None or parts is None:
        return Answer(404)
    descriptors = flavor.media_for(device.type)
    key = names.key_of(descriptors, parts["name"])
    digests = (
        line.media[key]
        for line in device.lines
        if key in line.media and parts["number"] in {None, line.number}
    )
    digest = next(digests, None)
    if key is None or digest is None:
        return Answer(404)
    try:
        path = await library.get(digest, descriptors[key].out_format)
    except (Refused, Unavailable):
        return Answer(503)
    told = names.format_name(descriptors[key])
    return Answer(200, content_type=formats.content_type(told), path=path)
