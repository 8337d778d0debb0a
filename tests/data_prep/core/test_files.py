import gzip
import os

import nibabel as nib
import numpy as np
import pytest

from data_prep.core import files

ARRAY = np.random.default_rng(0).integers(-1024, 3000, (7, 5, 3)).astype(np.int16)
AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -7], [0, 0, 3, 11], [0, 0, 0, 1]])


def test_nifti_reads_back_and_says_where_it_lies(tmp_path):
    path = tmp_path / "a" / "image.nii.gz"
    files.write_nifti(path, ARRAY, AFFINE)
    image = nib.load(path)
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), ARRAY)
    assert image.get_data_dtype() == np.int16
    for get in (image.get_sform, image.get_qform):
        matrix, code = get(coded=True)
        assert code == 1
        np.testing.assert_allclose(matrix, AFFINE, atol=1e-6)
    assert image.header.get_xyzt_units()[0] == "mm"


def test_gzip_is_of_the_common_kind_without_time_or_name():
    content = files.nifti_bytes(ARRAY, AFFINE)
    assert gzip.decompress(content)[344:348] == b"n+1\0"
    flags, mtime = content[3], content[4:8]
    assert (flags, mtime) == (0, b"\0" * 4)
    assert content == files.nifti_bytes(np.ascontiguousarray(ARRAY), AFFINE)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_half(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    files.write_json(path, {"a": 1})
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError):
        files.write_json(path, {"a": 2})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_drafts_of_a_killed_run_go_and_other_hidden_files_stay(tmp_path):
    (tmp_path / "images").mkdir()
    draft, other = tmp_path / "images" / ".P1.nii.gz.4711.part", tmp_path / ".notes.part"
    for path in (draft, other):
        path.touch()
    files.remove_drafts(tmp_path)
    assert not draft.exists() and other.exists()
