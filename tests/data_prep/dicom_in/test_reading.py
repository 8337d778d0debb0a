import time
import tracemalloc
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from data_prep.core.errors import DataError
from data_prep.dicom_in import reading
from data_prep.dicom_in.reading import NotDicomError, read_header, read_whole

MB = 2**20


def peak_bytes(call):
    """Return what was raised and the most memory that was held meanwhile."""
    tracemalloc.start()
    with pytest.raises(DataError) as caught:
        call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return str(caught.value), peak


@pytest.fixture
def path(patient):
    return patient(slices=2).write().folder / "000"


@pytest.mark.parametrize("read", [read_header, read_whole])
def test_what_is_no_dicom(tmp_path, read):
    path = tmp_path / "file"
    contents = [b"", b"hello", b"\0" * 500, np.random.default_rng(0).bytes(5000)]
    for content, message in zip(contents, ["empty file", *["not DICOM"] * 3], strict=True):
        path.write_bytes(content)
        with pytest.raises(NotDicomError, match=message):
            read(path)


@pytest.mark.parametrize("read", [read_header, read_whole])
@pytest.mark.parametrize("length", [133, 150, 200, 260])
def test_a_truncated_header(path, read, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DataError, match="damaged DICOM|cut off"):
        read(path)


def test_with_and_without_preamble_and_meta_information(path):
    content = path.read_bytes()
    whole, digest = read_whole(path)
    start = content.index(b"\x08\0\x08\0")
    path.write_bytes(content[start:])
    bare, _ = read_whole(path)
    assert bare.SOPInstanceUID == whole.SOPInstanceUID
    assert bare.PixelData == whole.PixelData
    assert len(digest) == 64


def test_a_header_ends_before_pixels_and_contours(path, patient):
    assert "PixelData" not in read_header(path)
    made = patient("S")
    made.structures({"GTV-1": None})
    header = read_header(made.folder / "rs.dcm")
    assert header.Modality == "RTSTRUCT"
    assert "ROIContourSequence" not in header


def test_a_length_of_4_gb_makes_no_room_for_it(path):
    content = path.read_bytes()
    at = content.index(b"\x08\0\x60\0CS") + 4
    path.write_bytes(content[:at] + b"OB\0\0\xf0\xff\xff\xff" + content[at + 4 :])
    for read in (read_header, read_whole):
        try:
            tracemalloc.start()
            read(path)
        except DataError:
            pass
        assert tracemalloc.get_traced_memory()[1] < 2 * MB
        tracemalloc.stop()


def deflated(path, patient, pixels):
    """Write a deflated CT slice whose pixels are zeros."""
    ct_slice = patient("deflated").slices[0]
    ct_slice.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    ct_slice.PixelData = bytes(pixels)
    ct_slice.save_as(path, enforce_file_format=True)


def test_a_deflated_bomb_is_not_inflated(path, patient, monkeypatch):
    deflated(path, patient, 64 * MB)
    assert path.stat().st_size < MB / 8
    monkeypatch.setattr(reading, "MAX_INFLATED_BYTES", 32 * MB)
    for read in (read_header, read_whole):
        message, peak = peak_bytes(lambda read=read: read(path))
        assert message == f"deflated, and grows beyond {32 * MB} bytes: not read"
        assert peak < 40 * MB
    monkeypatch.setattr(reading, "MAX_INFLATED_BYTES", 80 * MB)
    assert len(read_whole(path)[0].PixelData) == 64 * MB


def test_a_deflated_bomb_does_not_hide_behind_long_meta_information(path, patient, monkeypatch):
    deflated(path, patient, 64 * MB)
    content = path.read_bytes()
    filler = b"\x02\x00\x02\x01OB\x00\x00" + (4096).to_bytes(4, "little") + b"\0" * 4096
    length = int.from_bytes(content[140:144], "little") + len(filler)
    # (0002,0102), put first: pydicom does not mind the order
    path.write_bytes(content[:140] + length.to_bytes(4, "little") + filler + content[144:])
    monkeypatch.setattr(reading, "MAX_INFLATED_BYTES", 32 * MB)
    message, peak = peak_bytes(lambda: read_header(path))
    assert message == f"deflated, and grows beyond {32 * MB} bytes: not read"
    assert peak < 40 * MB
    path.write_bytes(content[:140] + (2**24).to_bytes(4, "little") + content[144:])
    with pytest.raises(DataError, match="meta information of 16777216 bytes"):
        read_header(path)


def test_a_damaged_deflated_file(path, patient):
    deflated(path, patient, 1000)
    content = path.read_bytes()
    path.write_bytes(content[:-200] + b"\xff" * 100)
    with pytest.raises(DataError, match="damaged DICOM"):
        read_whole(path)
    packed = zlib.compress(b"x")
    path.write_bytes(b"\0" * 128 + b"DICM" + b"1.2.840.10008.1.2.1.99" + packed)
    with pytest.raises(DataError, match="no length of the meta information"):
        read_whole(path)


def test_a_file_larger_than_any_ct_is_not_read(path):
    with path.open("ab") as stream:
        stream.truncate(reading.MAX_FILE_BYTES + 1)  # sparse
    for read in (read_header, read_whole):
        message, peak = peak_bytes(lambda read=read: read(path))
        assert "expected at most 536870912" in message
        assert peak < MB


EMPTY_ITEM = b"\xfe\xff\x00\xe0" + bytes(4)


def with_items(content, count, told):
    """Put a sequence of empty items, of told or undefined length, before the patient's name."""
    length = (len(EMPTY_ITEM) * count).to_bytes(4, "little") if told else b"\xff" * 4
    end = b"" if told else b"\xfe\xff\xdd\xe0" + bytes(4)
    sequence = b"\x08\x00\x40\x11SQ\0\0" + length + EMPTY_ITEM * count + end
    at = content.index(b"\x10\x00\x10\x00PN")
    return content[:at] + sequence + content[at:]


@pytest.mark.parametrize(
    "packed, told",
    [
        pytest.param(False, False, marks=pytest.mark.slow),  # ten seconds
        (False, True),
        (True, False),
        (True, True),
    ],
)
def test_a_million_empty_items_are_refused_at_once(path, packed, told):
    content = path.read_bytes()
    if packed:
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        plain, start = content, 144 + int.from_bytes(content[140:144], "little")
        dataset.save_as(path, enforce_file_format=True)
        content = path.read_bytes()
        meta = content[: 144 + int.from_bytes(content[140:144], "little")]
        packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
        body = packer.compress(with_items(plain[start:], 1_500_000, told)) + packer.flush()
        path.write_bytes(meta + body)
        assert path.stat().st_size < MB / 8
    else:
        path.write_bytes(with_items(content, 1_500_000, told))
    tags = ["SOPClassUID", "PatientID"]
    for call in (lambda: read_header(path, specific_tags=tags), lambda: read_whole(path)):
        start = time.process_time()
        try:
            call()  # where the length is told, a header is read without what nobody asked for
            assert told and not packed
        except DataError as error:
            assert str(error) == f"more than {reading.MAX_ITEMS} sequence items: not read"
        assert (
            time.process_time() - start < 15
        )  # five seconds; more than forty where each is parsed


def test_as_many_items_as_any_file_has_are_read(path, monkeypatch):
    content = path.read_bytes()
    monkeypatch.setattr(reading, "MAX_ITEMS", 2000)
    for told in (True, False):
        path.write_bytes(with_items(content, 1900, told))
        for read in (read_header, read_whole):
            found = read(path)
            assert len((found[0] if read is read_whole else found).ReferencedImageSequence) == 1900


def test_items_are_not_sought_in_pixels(path, monkeypatch):
    dataset = pydicom.dcmread(path)
    dataset.PixelData = (EMPTY_ITEM * 1000)[: len(dataset.PixelData)]
    dataset.save_as(path)
    monkeypatch.setattr(reading, "MAX_ITEMS", 20)
    assert read_whole(path)[0].PixelData == dataset.PixelData


def test_more_elements_than_any_file_has_are_refused(path, monkeypatch):
    content = path.read_bytes()
    at = content.index(b"\x10\x00\x10\x00PN")
    numbers = (k.to_bytes(2, "little") for k in range(0x1000, 0x2000))
    elements = b"".join(b"\x09\x00" + number + b"SH\0\0" for number in numbers)
    path.write_bytes(content[:at] + elements + content[at:])
    for read in (read_header, read_whole):
        monkeypatch.setattr(reading, "MAX_READS", 8192)
        read(path)
        monkeypatch.setattr(reading, "MAX_READS", 4000)
        with pytest.raises(DataError, match="more than 4000 elements: not read"):
            read(path)
