import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless

from data_prep.core.errors import DataError
from data_prep.dicom_in.pixels import OUTSIDE_HU, codestream_size, to_hu
from tests.support.orientations import read

gdcm = pytest.importorskip("gdcm")

SYNTAXES = {
    "JPEG lossless": (gdcm.TransferSyntax.JPEGLosslessProcess14, 0),
    "JPEG lossless, first-order": (gdcm.TransferSyntax.JPEGLosslessProcess14_1, 0),
    "JPEG-LS": (gdcm.TransferSyntax.JPEGLSLossless, 0),
    "JPEG-LS near-lossless": (gdcm.TransferSyntax.JPEGLSNearLossless, 3),
    "JPEG 2000 lossless": (gdcm.TransferSyntax.JPEG2000Lossless, 0),
    "JPEG 2000": (gdcm.TransferSyntax.JPEG2000, 60),
}


def compress(path, syntax):
    """Compress a file in place with GDCM's encoder."""
    reader, writer = gdcm.ImageReader(), gdcm.ImageWriter()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()


@pytest.mark.parametrize("name", SYNTAXES)
def test_compressed(patient, name):
    syntax, tolerance_hu = SYNTAXES[name]
    made = patient()
    for ct_slice in made.slices:
        ct_slice.BitsStored, ct_slice.HighBit = 12, 11
        ct_slice.PatientName = "A"
    made.write()
    for path in made.folder.iterdir():
        compress(path, syntax)
        assert pydicom.dcmread(path).file_meta.TransferSyntaxUID.is_compressed
    volume = read(made)
    assert np.abs(volume.array.astype(int) - made.hu.transpose(2, 1, 0)).max() <= tolerance_hu


def test_jpeg_of_eight_bits(patient):
    made = patient()
    for k, ct_slice in enumerate(made.slices):
        ramp = np.add.outer(np.arange(24), np.arange(28)) * 4 + k
        made.hu[k] = ramp - 1024
        ct_slice.BitsAllocated = ct_slice.BitsStored = 8
        ct_slice.HighBit, ct_slice.PixelData = 7, ramp.astype(np.uint8).tobytes()
    made.write()
    for path in made.folder.iterdir():
        compress(path, gdcm.TransferSyntax.JPEGBaselineProcess1)
    assert np.abs(read(made).array - made.hu.transpose(2, 1, 0)).max() <= 6


def test_what_no_decoder_reads_is_refused(patient):
    made = patient().write()
    for path in made.folder.iterdir():
        compress(path, gdcm.TransferSyntax.JPEGExtendedProcess2_4)
    with pytest.raises(DataError, match=r"/00\d: the pixels cannot be read \(Unable to decode"):
        read(made)


def test_rle(patient):
    made = patient()
    for ct_slice in made.slices:
        ct_slice.compress(RLELossless)
    assert (read(made.write()).array == made.hu.transpose(2, 1, 0)).all()


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_syntaxes(patient, syntax):
    made = patient()
    for k, ct_slice in enumerate(made.slices):
        ct_slice.file_meta.TransferSyntaxUID = syntax
        order = ">" if syntax == ExplicitVRBigEndian else "<"
        ct_slice.PixelData = (made.hu[k] + 1024).astype(f"{order}u2").tobytes()
    assert (read(made.write()).array == made.hu.transpose(2, 1, 0)).all()


@pytest.mark.parametrize("signed", [False, True])
def test_twelve_bits_with_an_overlay_above(signed):
    truth = np.arange(-2048 if signed else 0, 2048 if signed else 4096)
    stored = (truth & 0xFFF) | 0x5000  # what old scanners put into the unused bits
    found = to_hu(stored.astype(np.int16 if signed else np.uint16), 12, 11, signed, (1, 0))
    assert (found == np.maximum(truth, OUTSIDE_HU)).all()


def test_bits_need_not_be_the_lowest():
    stored = (np.arange(4096) << 4 | 0xF).astype(np.uint16)
    assert (to_hu(stored, 12, 15, False, (1, -1024)) == np.arange(4096) - 1024).all()


def test_rescale_and_clipping_of_extremes():
    stored = np.array([0, 1, 3, 65535], np.uint16)
    assert to_hu(stored, 16, 15, False, (0.5, -1)).tolist() == [-1, 0, 0, 32766]  # halves to even
    large = np.array([2**32 - 1, 2000], np.uint32)
    assert to_hu(large, 32, 31, False, (1, -1000)).tolist() == [32767, 1000]
    assert to_hu(stored, 16, 15, False, (1, -1e6)).tolist() == [OUTSIDE_HU] * 4
    assert to_hu(stored, 16, 15, False, (-1e6, 0)).tolist() == [
        0,
        OUTSIDE_HU,
        OUTSIDE_HU,
        OUTSIDE_HU,
    ]


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        (None, [-1024, 0, 40, 31743]),
        ((63536, 63536), [-1024, 0, 40, 31743]),
        ((32767, 32767), [-1024, 0, 40, -1024]),
        ((32000, 33000), [-1024, 0, 40, -1024]),
        ((1064, 1064), [-1024, 0, 40, 31743]),  # tissue: not believed
    ],
)
def test_padding_is_air_unless_it_would_be_tissue(padding, expected):
    stored = np.array([0, 1024, 1064, 32767], np.uint16)
    assert to_hu(stored, 16, 15, False, (1, -1024), padding).tolist() == expected


def test_padding_is_told_by_all_bits_of_a_twelve_bit_image(patient):
    made = patient()
    for k, ct_slice in enumerate(made.slices):
        ct_slice.BitsStored, ct_slice.HighBit, ct_slice.PixelRepresentation = 12, 11, 1
        ct_slice.RescaleIntercept = 0
        made.hu[k, :4] = -3024
        ct_slice.PixelData = made.hu[k].astype("<i2").tobytes()
        ct_slice.PixelPaddingValue = -3024
    volume = read(made.write())
    assert (volume.array[:, :4] == OUTSIDE_HU).all()
    assert (volume.array[:, 4:] == made.hu.transpose(2, 1, 0)[:, 4:]).all()


def test_a_compressed_frame_of_another_size_is_refused_before_it_is_decoded(patient):
    made = patient().write()
    for path in made.folder.iterdir():
        compress(path, gdcm.TransferSyntax.JPEG2000Lossless)
    path = sorted(made.folder.iterdir())[3]
    content = path.read_bytes()
    size = content.index(b"\xff\x4f\xff\x51") + 8
    path.write_bytes(content[:size] + b"\0\0\xf0\0" * 2 + content[size + 8 :])
    with pytest.raises(DataError, match=r"003: .*image of \(61440, 61440\) in a frame of \(24, 28"):
        read(made)


def test_size_in_a_jpeg():
    frame = b"\xff\xd8\xff\xe0\0\4ab\xff\xff\xc3\0\x0b\x0c\x02\0\x01\0\1"
    assert codestream_size(frame) == (512, 256)
    assert codestream_size(b"\1\0\0\0") is None
    with pytest.raises(DataError, match="without a start of frame"):
        codestream_size(frame[:8])
