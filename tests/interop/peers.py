"""What two public de-identifiers take out of objects, beside what we do. Usage: peers.py PAIRS; PAIRS is a file with a JSON list of
[received, protected]; prints JSON: how many objects each peer took, how many elements we alone took out of them, and a row for each
kind of element that it removed or changed: peer, number, VR, keyword, whether we kept it, how often."""

import collections
import json
import logging
import os
import sys
import warnings

os.environ["MESSAGELEVEL"] = "QUIET"
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

from deid.config import DeidRecipe  # noqa: E402
from deid.dicom import replace_identifiers  # noqa: E402
from dicognito.anonymizer import Anonymizer  # noqa: E402
from pydicom import config, dcmread  # noqa: E402

config.settings.reading_validation_mode = config.IGNORE
config.settings.writing_validation_mode = config.IGNORE


def leaves(dataset, path=()):
    """Every value at any depth, by the items that lead to it."""
    for element in dataset:
        here = (*path, element.tag)
        if element.VR == "SQ":
            for number, item in enumerate(element.value or []):
                yield from leaves(item, (*here, number))
        elif element.value not in (None, "", b"") and not element.tag.is_private_creator:
            yield here, element


def said(element):
    return element.value if isinstance(element.value, bytes) else str(element.value)


def name(element):
    """The element as a rule names it: its number, or for a private one its creator and its place in the block."""
    tag = element.tag
    if tag.is_private:
        return f"{tag.group:04X},{element.private_creator or ''},{tag.element & 0xFF:02X}"
    return f"{tag.group:04X}{tag.element:04X}"


anonymizer, recipe = Anonymizer(seed="the same each time"), DeidRecipe()


def dicognito(path):
    dataset = dcmread(path, force=True)
    anonymizer.anonymize(dataset)
    return dataset


def deid(path):
    (dataset,) = replace_identifiers(path, deid=recipe, save=False, remove_private=True)
    return dataset


peers = {"dicognito": dicognito, "deid": deid}
took, alone, rows = collections.Counter(), collections.Counter(), collections.Counter()
refused = collections.defaultdict(list)
with open(sys.argv[1], encoding="utf-8") as pairs:
    pairs = json.load(pairs)
for received, protected in pairs:
    before = dict(leaves(dcmread(received, force=True)))
    ours = {path: said(element) for path, element in leaves(dcmread(protected, force=True))}
    for peer, anonymize in peers.items():
        try:
            theirs = {path: said(element) for path, element in leaves(anonymize(received))}
        except Exception as error:  # a peer may fail in its own ways: told, and counted by the caller
            refused[peer].append(f"{received}: {error!r}"[:300])
            continue
        took[peer] += 1
        for path, element in before.items():
            value = said(element)
            # what was received without a value is as we would have left it
            kept = ours.get(path) == value and value != "REMOVED"
            if theirs.get(path) == value:
                alone[peer] += not kept
                continue
            rows[peer, name(element), element.VR, element.keyword, kept] += 1

print(
    json.dumps(
        {
            "took": took,
            "refused": refused,
            "alone": alone,
            "rows": [[*row, count] for row, count in sorted(rows.items(), key=str)],
        }
    )
)
