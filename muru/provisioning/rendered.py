"""Keeps the files of phones as they were rendered, for those that ask again unchanged.

Most do: every hour, or all at once after a power cut. What counts is not how old a file is, but
that it was made of the very same as would go into it now: the device and its lines as the request
has just found them in the database, the URL by which the phone came, the version of the templates.
So a change is seen by the next request, whoever made it.

A flavor with a job or a state of its own may write more into its files than that; these are not
kept.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from muru.flavor import PhoneFlavor
from muru.provisioning.files import ProvisioningFile
from muru.provisioning.lookup import DeviceRecord
from muru.provisioning.request import Answer

_BOUND = 64 * 2**20  # bytes; what was asked for longest ago is forgotten first
_FRAME = 1_500  # bytes that an entry takes beside its file
_Key = tuple[type[PhoneFlavor], int, ProvisioningFile]


@dataclass(frozen=True, slots=True)
class Ingredients:
    """All that a file is made of, but for the settings, which never change.

    *device* is None for a file that is the same for all phones.
    """

    device: DeviceRecord | None
    origin: str
    token: str = field(repr=False)
    templates: int


class Rendered:
    """The files of one engine."""

    def __init__(self, bound: int = _BOUND) -> None:
        self._bound, self._size = bound, 0
        self._kept: OrderedDict[_Key, tuple[Ingredients, Answer]] = OrderedDict()

    def get(
        self, flavor: PhoneFlavor, file: ProvisioningFile, made_of: Ingredients
    ) -> Answer | None:
        """Return the file if it would be the same again."""
        key = _key(flavor, file, made_of)
        found = self._kept.get(key)
        if found is None or found[0] != made_of:
            return None
        self._kept.move_to_end(key)
        return found[1]

    def keep(
        self, flavor: PhoneFlavor, file: ProvisioningFile, made_of: Ingredients, answer: Answer
    ) -> None:
        """Keep the file for the next time, if *flavor* makes it of nothing else."""
        if flavor.FILES_VARY or type(flavor).job is not PhoneFlavor.job:
            return
        if vars(flavor).keys() - {"settings"}:
            return
        key = _key(flavor, file, made_of)
        if known := self._kept.pop(key, None):
            self._size -= len(known[1].body) + _FRAME
        self._kept[key] = made_of, answer
        self._size += len(answer.body) + _FRAME
        while self._size > self._bound:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._size -= len(oldest.body) + _FRAME


def _key(flavor: PhoneFlavor, file: ProvisioningFile, made_of: Ingredients) -> _Key:
    return type(flavor), (made_of.device.id if made_of.device else 0), file
