"""The pictures of `bench coding`, and CharLS on them: one thread, one picture after another.

First argument: the folder of the public objects; second: a folder for the pictures. Prints one line for each picture (name, file,
width, bytes of a sample, samples of a pixel, raw bytes, coded bytes); then, for each line on standard input, the seconds that coding
and undoing took for each picture, least of three.
"""
import json
import pathlib
import sys
import time
import warnings

import imagecodecs
import numpy
import pydicom
from pydicom.encaps import generate_frames

warnings.simplefilter("ignore")

PICTURES = {
    "CT": ["studies/ct-head-phantom-philips/study2-current/S2010/*", "studies/ct-head-phantom-philips/study1-prior/S2010/*"],
    "CT thin": ["studies/ct-head-phantom-philips/study2-current/S2010/*"],
    "PT": ["studies/petct-siemens-with-dose-sr/*Pet*"],
    "MR": ["studies/mr-epi-phantom-siemens/*/*"],
    "CR": ["studies/cr-chest-nema-rg1/*JLSN*", "studies/cr-tibia-nema-rg3/*"],
    "MG": ["studies/mg-ge-screening/*", "studies/mg-nema-mg1-digitised/*"],
    "XA": ["studies/xa-cath-philips/*"],
}
FRAMES = {"CT": 8, "CT thin": 8, "PT": 4, "MR": 4, "CR": 2, "MG": 2, "XA": 4}
DECODERS = {
    "1.2.840.10008.1.2.4.50": imagecodecs.jpeg8_decode,
    "1.2.840.10008.1.2.4.57": imagecodecs.ljpeg_decode,
    "1.2.840.10008.1.2.4.70": imagecodecs.ljpeg_decode,
    "1.2.840.10008.1.2.4.80": imagecodecs.jpegls_decode,
    "1.2.840.10008.1.2.4.81": imagecodecs.jpegls_decode,
    "1.2.840.10008.1.2.4.90": imagecodecs.jpeg2k_decode,
    "1.2.840.10008.1.2.4.91": imagecodecs.jpeg2k_decode,
}


def pictures(path):
    """The uncompressed frames of one object."""
    dataset = pydicom.dcmread(path, force=True)
    syntax = dataset.file_meta.TransferSyntaxUID
    count = int(dataset.get("NumberOfFrames", 1))
    if syntax in DECODERS:
        frames = [DECODERS[syntax](frame) for frame in generate_frames(dataset.PixelData, number_of_frames=count)]
    elif syntax.is_compressed:
        return []
    else:
        frames = dataset.pixel_array
        frames = list(frames) if count > 1 else [frames]
    bits = dataset.BitsStored
    out = []
    for frame in frames:
        if frame.itemsize == 2:
            # JPEG-LS knows no sign: it gets the bits as they are stored
            frame = (frame.astype(numpy.int32) & (1 << bits) - 1).astype(numpy.uint16)
        out.append(numpy.ascontiguousarray(frame))
    return out


def thin(frame, seed):
    """The same slice with the noise of a thin one: performance.md's study has 8 grey levels of it, and none in the padding."""
    chance = numpy.random.default_rng(seed)
    grain = numpy.rint(chance.normal(0, 8, frame.shape)).astype(numpy.int32)
    grain[frame == frame.min()] = 0
    return numpy.clip(frame.astype(numpy.int32) + grain, 0, 4095).astype(numpy.uint16)


def least(work, times=3):
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    return min(taken)


def main():
    folder, out = map(pathlib.Path, sys.argv[1:])
    kept = []
    for name, patterns in PICTURES.items():
        found = sorted(path for pattern in patterns for path in folder.glob(pattern) if path.is_file())
        frames = []
        for path in found[:: max(1, len(found) // FRAMES[name])]:
            try:
                frames += pictures(path)[:4]
            except (AttributeError, KeyError, ValueError, RuntimeError, NotImplementedError) as error:
                print(f"{path.name}: {error}", file=sys.stderr)
        for number, frame in enumerate(frames[: FRAMES[name]]):
            if name == "CT thin":
                frame = thin(frame, number)
            file = out / f"{name.replace(' ', '-')}-{number}.raw"
            file.write_bytes(frame.tobytes())
            coded = imagecodecs.jpegls_encode(frame)
            samples = frame.shape[2] if frame.ndim == 3 else 1
            kept.append((frame, coded))
            print(json.dumps([name, str(file), frame.shape[1], frame.itemsize, samples, frame.nbytes, len(coded)]))
    print("null", flush=True)
    for _ in sys.stdin:
        encode = [least(lambda: imagecodecs.jpegls_encode(frame)) for frame, _ in kept]
        decode = [least(lambda: imagecodecs.jpegls_decode(coded)) for _, coded in kept]
        print(json.dumps([encode, decode]), flush=True)


main()
