"""The names under which phones and people ask for the media of an extension."""

from collections.abc import Mapping

from muru.flavor import MediaDescriptor, MediaType
from muru.media import formats


def format_name(descriptor: MediaDescriptor) -> str:
    """Return the name of the format in which a medium is handed out."""
    if descriptor.out_format is None:
        return formats.KEPT[MediaType.RAW]
    return descriptor.out_format.out_type


def filename(key: str, descriptor: MediaDescriptor) -> str:
    """Return the name of a medium's file for the phone."""
    return descriptor.endpoint_filename or f"{key}.{formats.suffix(format_name(descriptor))}"


def key_of(media: Mapping[str, MediaDescriptor], name: str) -> str | None:
    """Return the key in a flavor's ``MEDIA`` that *name* means.

    That is the key itself, or the name under which the phone asks for the file, each with or
    without a suffix.
    """
    for key, descriptor in media.items():
        told = format_name(descriptor)
        suffixes = ("", f".{told}", f".{formats.suffix(told)}")
        own = descriptor.endpoint_filename or key
        names = {key + each for each in suffixes} | {own, own.rpartition(".")[0] or own}
        if name.lower() in {each.lower() for each in names}:
            return key
    return None
