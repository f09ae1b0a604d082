"""Compares decoded pixels before and after masking, read by pydicom. Usage: masked.py ROWS FOLDER; FOLDER holds pairs N-before.dcm
and N-after.dcm. Above ROWS everything after is black and something before was not; from there on both are equal. Prints
"N objects, M frames: only the banner is gone"."""

import sys
from pathlib import Path

import numpy
import pydicom

rows, folder = int(sys.argv[1]), Path(sys.argv[2])
objects, frames, lit = 0, 0, 0
for before in sorted(folder.glob("*-before.dcm")):
    old, new = pydicom.dcmread(before), pydicom.dcmread(str(before).replace("-before", "-after"))
    # as the frames are coded: a conversion of colours would round
    old.pixel_array_options(raw=True)
    new.pixel_array_options(raw=True)
    a, b = old.pixel_array, new.pixel_array
    assert a.shape == b.shape, (before, a.shape, b.shape)
    many = int(old.get("NumberOfFrames", 1))
    a, b = (it.reshape(many, old.Rows, old.Columns, old.SamplesPerPixel) for it in (a, b))
    top = b[:, :rows]
    assert (top[..., 0] <= 1).all(), f"{before}: not black: {top[..., 0].max()}"
    assert old.SamplesPerPixel == 1 or (abs(top[..., 1:].astype(int) - 128) <= 1).all(), f"{before}: coloured"
    assert numpy.array_equal(a[:, rows:], b[:, rows:]), f"{before}: other pixels have changed"
    objects, frames, lit = objects + 1, frames + many, lit + int((a[:, :rows, :, 0] > 32).any())
assert lit, "nothing stood where the mask is"
print(f"{objects} objects, {frames} frames: only the banner is gone ({lit} of them had something there)")
