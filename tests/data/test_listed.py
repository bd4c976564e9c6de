"""A user's own encoded images: read as they are, known by their content, and refused by name where they are wrong."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.data import placed
from harness.data.dataset import DataError, Dataset
from harness.data.encoded import decoded
from harness.data.folder import Folder
from harness.data.parquet import Parquet
from harness.data.splits import Warrant, cut, open_test
from harness.source import MissingError, UserError
from tests.data.own import CLASSES, SIZES, as_folders, as_parquet, digits, jpeg, png, table

WARRANT = Warrant("t", "confirmation")


def parquet(folder: Path, **settings: Any) -> Parquet:
    return Parquet(path=str(folder), validation=3, **settings)


def folders(folder: Path, **settings: Any) -> Folder:
    return Folder(path=str(folder), validation=3, **settings)


WRITTEN: dict[str, Callable[[Path], Dataset]] = {
    "structs of PNG": lambda path: parquet(as_parquet(path)),
    "bytes of PNG": lambda path: parquet(as_parquet(path, struct=False)),
    "other columns": lambda path: parquet(as_parquet(path, image="image", label="fine_label")),
    "named columns": lambda path: parquet(as_parquet(path, image="x", label="y"), image="x", label="y"),
    "below data/": lambda path: parquet(as_parquet(path / "data").parent),
    "class folders": lambda path: folders(as_folders(path)),
}


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_its_images_are_those_that_were_encoded(written: Callable[[Path], Dataset], tmp_path: Path) -> None:
    data = written(tmp_path / "set").pinned(None)
    assert (data.shape, data.classes, data.pool) == ((1, 8, 8), CLASSES, SIZES["train"])
    for part, images in (
        ("train", data.training_images(tmp_path)),
        ("test", open_test(data, tmp_path, WARRANT)),
    ):
        pixels, labels = digits(part)
        assert np.array_equal(images.pixels, pixels)
        assert np.array_equal(images.labels, labels)
    assert len(cut(data, tmp_path).train) == SIZES["train"] - 3


@pytest.mark.parametrize("write", [as_parquet, as_folders])
def test_jpegs_are_read_too(write: Callable[..., Path], tmp_path: Path) -> None:
    kind = parquet if write is as_parquet else folders
    pixels = kind(write(tmp_path / "set", jpeg)).training_images(tmp_path).pixels
    assert np.abs(pixels.astype(int) - digits("train")[0].astype(int)).mean() < 4


def test_several_files_are_read_in_order_of_their_names(tmp_path: Path) -> None:
    folder = as_parquet(tmp_path / "set")
    whole = pq.read_table(folder / "train.parquet")
    (folder / "train.parquet").unlink()
    for number in range(3):
        pq.write_table(whole.slice(4 * number, 4), folder / f"train-{number:05}-of-00003.parquet")
    assert np.array_equal(parquet(folder).training_images(tmp_path).pixels, digits("train")[0])


def test_class_names_of_the_hub_are_the_classes(tmp_path: Path) -> None:
    folder = as_parquet(tmp_path / "set")
    names = {"info": {"features": {"label": {"names": ["zero", "one", "two", "three"], "_type": "ClassLabel"}}}}
    for part in SIZES:
        path = folder / f"{part}.parquet"
        noted = pq.read_table(path).replace_schema_metadata({"huggingface": json.dumps(names)})
        pq.write_table(noted, path)
    assert parquet(folder).classes == 4
    with pytest.raises(DataError, match=r"train\.parquet has no image of class 3 \(three\)"):
        parquet(folder).pinned(None)


@pytest.mark.parametrize(("channels", "size"), [(3, None), (None, 16), (3, 5), (1, 8)])
def test_images_are_converted_as_asked(channels: Any, size: int | None, tmp_path: Path) -> None:
    data = parquet(as_parquet(tmp_path / "set"), channels=channels, size=size).pinned(None)
    expected = (channels or 1, size or 8, size or 8)
    assert data.shape == data.training_images(tmp_path).pixels.shape[1:] == expected


def test_a_palettes_colours_are_read_and_not_its_numbers() -> None:
    colours = Image.fromarray(np.full((4, 4, 3), (255, 127, 0), np.uint8)).quantize(4)
    file = io.BytesIO()
    colours.save(file, "PNG")
    assert decoded(file.getvalue(), "an image", None)[:, 0, 0].tolist() == [255, 127, 0]


# What it is known by.


@pytest.mark.parametrize(("write", "kind"), [(as_parquet, parquet), (as_folders, folders)])
def test_the_id_is_of_the_content_and_not_of_the_path(write: Any, kind: Any, tmp_path: Path) -> None:
    first, second = kind(write(tmp_path / "a")).pinned(None), kind(write(tmp_path / "b" / "c")).pinned(None)
    other = kind(write(tmp_path / "d", jpeg)).pinned(None)
    assert first.path != second.path
    assert first.id == second.id != other.id
    assert cut(first, tmp_path).fingerprint == cut(second, tmp_path).fingerprint != cut(other, tmp_path).fingerprint
    assert first.model_dump()["path"] == str(tmp_path / "a")
    assert type(first).model_validate_json(first.model_dump_json()) == first


def test_a_relative_path_is_looked_for_beside_the_file_that_names_it(tmp_path: Path) -> None:
    as_parquet(tmp_path / "studies" / "set")
    found = parquet(Path("set")).pinned(tmp_path / "studies" / "s.yaml")
    assert found.path == str(tmp_path / "studies" / "set")
    with pytest.raises(MissingError, match=r'"set" is no file here; correct the path'):
        parquet(Path("set")).pinned(None)


def test_content_that_changed_since_the_study_was_loaded_is_refused(tmp_path: Path) -> None:
    data = parquet(as_parquet(tmp_path / "set")).pinned(None)
    as_parquet(tmp_path / "set", jpeg)
    with pytest.raises(MissingError, match="does not hold the data that sha256 names"):
        data.training_images(tmp_path)
    with pytest.raises(MissingError, match="does not hold the data that sha256 names"):
        data.pinned(None)


# The cache of decoded images.


def cached(root: Path) -> Path:
    (path,) = (root / "decoded").glob("*.npy")
    return path


def test_images_are_decoded_once(tmp_path: Path) -> None:
    data = parquet(as_parquet(tmp_path / "set")).pinned(None)
    first = data.training_images(tmp_path)
    written = cached(tmp_path).stat().st_mtime_ns
    again = data.model_copy(update={"validation": 6}).training_images(tmp_path)
    assert cached(tmp_path).stat().st_mtime_ns == written
    assert again.fingerprint == first.fingerprint
    assert isinstance(again.pixels, np.memmap)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "a pixel changed": lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\x07"),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "without its note": lambda path: path.with_suffix(".json").unlink(),
    "with half a note": lambda path: path.with_suffix(".json").write_text('{"sha2'),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_made_anew(damage: Callable[[Path], object], tmp_path: Path) -> None:
    data = parquet(as_parquet(tmp_path / "set")).pinned(None)
    data.training_images(tmp_path)
    damage(cached(tmp_path))
    assert np.array_equal(data.training_images(tmp_path).pixels, digits("train")[0])


DECODE = """
import sys
from pathlib import Path
from harness.data.parquet import Parquet
data = Parquet(path=sys.argv[1], validation=3)
print(data.training_images(Path(sys.argv[2])).fingerprint)
"""


def test_two_processes_that_decode_at_once_agree(tmp_path: Path) -> None:
    folder = as_parquet(tmp_path / "set")
    both = [
        subprocess.Popen(
            [sys.executable, "-c", DECODE, str(folder), str(tmp_path)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    first, second = (process.communicate(timeout=120)[0] for process in both)
    assert [process.returncode for process in both] == [0, 0]
    assert first == second != ""
    assert len(list((tmp_path / "decoded").glob("*.npy"))) == 1
    assert not list((tmp_path / "decoded").glob("*.tmp"))


# What is wrong is told with the file's name. Part, table → the same with something wrong.

IMAGES, LABELS = [png(one) for one in digits("train")[0]], digits("train")[1].tolist()
RGB = png(np.zeros((3, 8, 8), np.uint8))
WIDE = png(np.zeros((1, 8, 9), np.uint8))
BLANK = png(np.zeros((1, 8, 8), np.uint8))

WRONG_ROWS = {
    "corrupt": ([*IMAGES[:5], b"\xff" * 40, *IMAGES[6:]], LABELS, r"train\.parquet row 5 is no whole image"),
    "truncated": ([*IMAGES[:5], IMAGES[5][:-20], *IMAGES[6:]], LABELS, r"train\.parquet row 5 is no whole image"),
    "empty": ([*IMAGES[:5], b"", *IMAGES[6:]], LABELS, r"train\.parquet row 5 is no whole image"),
    "absent": ([*IMAGES[:5], None, *IMAGES[6:]], LABELS, r"train\.parquet row 5 has no image"),
    "in colours": ([*IMAGES[:5], RGB, *IMAGES[6:]], LABELS, r"row 5 has 3 channels .* set `channels: 1`"),
    "too wide": ([*IMAGES[:5], WIDE, *IMAGES[6:]], LABELS, r"row 5 has 8×9 pixels .* set `size`"),
    "label below 0": (IMAGES, [*LABELS[:5], -1, *LABELS[6:]], r"train\.parquet row 5 has the label -1, below 0"),
    "label missing": (IMAGES, [*LABELS[:5], None, *LABELS[6:]], r"train\.parquet row 5 has no label"),
    "labels no numbers": (IMAGES, list(map(str, LABELS)), r"train\.parquet has labels of type string"),
    "labels in halves": (IMAGES, [label / 2 for label in LABELS], r"train\.parquet has labels of type double"),
    "a class without images": (IMAGES, [2 * label for label in LABELS], r"train\.parquet has no image of class 1"),
    "no rows": ([], [], r"train\.parquet holds no image"),
    "label beyond 63 bits": (
        IMAGES,
        pa.array([*LABELS[:5], 2**63 + 1, *LABELS[6:]], pa.uint64()),
        r"train\.parquet row 5 has the label 9223372036854775809; number the classes from 0 on",
    ),
    "label of a quadrillion": (
        IMAGES,
        [*LABELS[:5], 10**15, *LABELS[6:]],
        r"train\.parquet has no image of class 3, and .*train\.parquet row 5 has the label 1000000000000000",
    ),
    "a class alone": (IMAGES[:-3] + [BLANK] * 3, [*LABELS[:-1], 3], r"test\.parquet has no image of class 3"),
}


@pytest.mark.parametrize(("images", "labels", "told"), WRONG_ROWS.values(), ids=WRONG_ROWS)
def test_a_wrong_row_is_refused(images: list[Any], labels: Any, told: str, tmp_path: Path) -> None:
    folder = as_parquet(tmp_path / "set")
    rows = table(images, labels) if len(labels) else table([], pa.array([], pa.int64()))
    pq.write_table(rows, folder / "train.parquet")
    with pytest.raises(DataError, match=told):
        parquet(folder).pinned(None).training_images(tmp_path)
    assert not list(tmp_path.glob("decoded/*.npy"))


def test_a_label_of_the_test_images_that_training_does_not_know_is_refused(tmp_path: Path) -> None:
    folder = as_parquet(tmp_path / "set")
    pixels, labels = digits("test")
    pq.write_table(table([png(one) for one in pixels], [*labels[:-1].tolist(), 7]), folder / "test.parquet")
    with pytest.raises(DataError, match=r"test\.parquet row 5 has the label 7, not below 3"):
        parquet(folder).pinned(None)


def test_test_images_of_another_shape_are_refused(tmp_path: Path) -> None:
    folder = as_parquet(tmp_path / "set")
    pq.write_table(table([WIDE] * 3, [0, 1, 2]), folder / "test.parquet")
    with pytest.raises(DataError, match=r"test\.parquet row 0 is of \(1, 8, 9\)"):
        parquet(folder).pinned(None)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_parquet_file_is_refused(share: float, tmp_path: Path) -> None:
    path = as_parquet(tmp_path / "set") / "train.parquet"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(DataError, match=r"train\.parquet is no whole Parquet file"):
        parquet(path.parent).pinned(None)


def test_a_column_or_file_that_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    folder = as_parquet(tmp_path / "set", image="pixels", label="y")
    with pytest.raises(DataError, match=r"has no column img or image; name it with `image` \(.*pixels"):
        parquet(folder).pinned(None)
    with pytest.raises(DataError, match=r"has no column label or fine_label or labels; name it with `label`"):
        parquet(folder, image="pixels").pinned(None)
    (folder / "test.parquet").rename(folder / "other.parquet")
    with pytest.raises(MissingError, match=r"no test\*\.parquet \(there: other\.parquet, train\.parquet\)"):
        parquet(folder, image="pixels", label="y").pinned(None)
    assert parquet(folder, image="pixels", label="y", test_files="oth*").pinned(None).sha256


def one_class_empty(folder: Path) -> str:
    shutil.rmtree(folder / "train" / "class1")
    (folder / "train" / "class1").mkdir()
    return r"set/train has no image of class 1 \(class1\)"


def one_class_more(folder: Path) -> str:
    shutil.copytree(folder / "test" / "class1", folder / "test" / "klass1")
    return "test/klass1 is of no class of the training images"


def one_image_torn(folder: Path) -> str:
    path = folder / "train" / "class1" / "005.png"
    path.write_bytes(path.read_bytes()[:-20])
    return r"train/class1/005\.png is no whole image"


def one_image_of_16_bits(folder: Path) -> str:
    Image.fromarray(np.full((8, 8), 1000, np.uint16)).save(folder / "train" / "class1" / "005.png")
    return r"train/class1/005\.png has more than 8 bits a channel"


def one_image_see_through(folder: Path) -> str:
    Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(folder / "train" / "class0" / "000.png")
    return r"train/class0/000\.png has 4 channels; set `channels: 1` or `channels: 3`"


def something_else(folder: Path) -> str:
    (folder / "train" / "class1" / "notes.txt").write_text("")
    return r"train/class1/notes\.txt is no JPEG, PNG or WebP"


def no_test(folder: Path) -> str:
    shutil.rmtree(folder / "test")
    return "set has no folder test or val here"


def no_classes(folder: Path) -> str:
    shutil.rmtree(folder / "train")
    (folder / "train").mkdir()
    return "set/train has no folder"


@pytest.mark.parametrize(
    "spoilt",
    [
        one_class_empty,
        one_class_more,
        one_image_torn,
        one_image_of_16_bits,
        one_image_see_through,
        something_else,
        no_test,
        no_classes,
    ],
)
def test_wrong_class_folders_are_refused(spoilt: Callable[[Path], str], tmp_path: Path) -> None:
    folder = as_folders(tmp_path / "set")
    told = spoilt(folder)
    with pytest.raises(UserError, match=told):
        folders(folder).pinned(None).training_images(tmp_path)


def test_val_may_stand_for_test(tmp_path: Path) -> None:
    folder = as_folders(tmp_path / "set")
    expected = folders(folder).pinned(None).id
    (folder / "test").rename(folder / "val")
    assert folders(folder).pinned(None).id == expected


def test_a_glance_decodes_the_first_images_alone(tmp_path: Path) -> None:
    folder = as_folders(tmp_path / "set")
    for path in sorted(folder.glob("*/class[12]/*")):
        path.write_bytes(b"torn")
    data = folders(folder).pinned(None)
    assert (data.shape, data.classes, data.train_count) == ((1, 8, 8), 3, 9)


# What is in the training images and the test images alike, and what is left out.


def linked(folder: Path) -> dict[str, Any]:
    (folder / "test.parquet").unlink()
    (folder / "test.parquet").symlink_to("train.parquet")
    return {}


def copied(folder: Path) -> dict[str, Any]:
    shutil.copy(folder / "train.parquet", folder / "test.parquet")
    return {}


@pytest.mark.parametrize("shared", [linked, copied, lambda _: {"train_files": "*.parquet"}], ids=["link", "copy", "*"])
def test_a_file_of_test_images_is_never_trained_on(shared: Callable[[Path], dict[str, Any]], tmp_path: Path) -> None:
    folder = as_parquet(tmp_path / "set")
    data = parquet(folder, **shared(folder))
    told = r"test\.parquet is among the test images and among the training images.* let `train_files` and `test_files`"
    with pytest.raises(DataError, match=told):
        data.pinned(None)


@pytest.mark.parametrize("shared", ["test", "test/class1", "test/class0/000.png"])
def test_no_image_is_in_both_parts_by_a_link(shared: str, tmp_path: Path) -> None:
    folder = as_folders(tmp_path / "set")
    ours, theirs = folder / shared, folder / shared.replace("test", "train", 1)
    shutil.rmtree(ours) if ours.is_dir() else ours.unlink()
    ours.symlink_to(theirs)
    with pytest.raises(DataError, match=r"set/test/class./.*png is among the test images .* files of its own"):
        folders(folder).pinned(None)


def test_images_behind_a_linked_folder_are_read_too(tmp_path: Path) -> None:
    folder = as_folders(tmp_path / "set")
    (folder / "train" / "class1").rename(tmp_path / "elsewhere")
    (folder / "train" / "class1").mkdir()
    (folder / "train" / "class1" / "more").symlink_to(tmp_path / "elsewhere")
    assert folders(folder).pinned(None).pool == SIZES["train"]


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a loop": (
        lambda place: (place / "up").symlink_to(place.parent),
        "class1/up/class1 leads back to a folder that it lies in",
    ),
    "a link to nowhere": (
        lambda place: (place / "a.png").symlink_to("b"),
        r"class1/a\.png is a broken link or no regular",
    ),
    "a link to itself": (
        lambda place: (place / "a.png").symlink_to("a.png"),
        r"class1/a\.png cannot be read|broken link",
    ),
    "a pipe": (lambda place: os.mkfifo(place / "a.png"), r"class1/a\.png is a broken link or no regular file; mend it"),
    "an image of no class": (lambda place: (place.parent / "x.png").touch(), r"train/x\.png lies in no class's folder"),
}


@pytest.mark.parametrize(("spoil", "told"), UNREADABLE.values(), ids=UNREADABLE)
def test_nothing_in_class_folders_is_left_out_in_silence(
    spoil: Callable[[Path], object], told: str, tmp_path: Path
) -> None:
    folder = as_folders(tmp_path / "set")
    spoil(folder / "train" / "class1")
    with pytest.raises(DataError, match=told):
        folders(folder).pinned(None)


def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = as_folders(tmp_path / "set")
    closed = folder / "train" / "class1" / "closed"
    closed.mkdir()
    scandir = os.scandir

    def for_others(path: Path) -> Any:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", for_others)
    with pytest.raises(DataError, match=r"class1/closed cannot be read \(Permission denied\); mend it"):
        folders(folder).pinned(None)


def test_names_may_be_no_text(tmp_path: Path) -> None:
    folder = as_folders(tmp_path / "set")
    place = folder / "train" / "class1"
    (place / "005.png").rename(os.fsdecode(os.fsencode(place) + b"/00\xff.png"))
    assert len(folders(folder).pinned(None).training_images(tmp_path)) == SIZES["train"]
    (folder / "train" / "class1").rename(os.fsdecode(os.fsencode(folder) + b"/train/\xff"))
    with pytest.raises(DataError, match="test/class1 is of no class"):
        folders(folder).pinned(None)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"train_files": "**x"}, r'train_files "\*\*x" is no pattern of files; write one such as train\*\.parquet'),
        ({"test_files": "."}, r'test_files "\." is no pattern of files'),
        ({"test_files": "/"}, r'test_files "/" is no pattern of files'),
        (
            {"train_files": "~nobody_here/x"},
            r'"~nobody_here/x" begins with a home folder that is not here; write it out',
        ),
        ({"path": "~nobody_here/x"}, r'"~nobody_here/x" begins with a home folder that is not here; write it out'),
    ],
)
def test_a_place_that_means_nothing_is_told(settings: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=told):
        Parquet(**{"path": str(as_parquet(tmp_path / "set")), "validation": 3, **settings}).pinned(None)


def test_files_may_be_named_from_the_root(tmp_path: Path) -> None:
    folder, other = as_parquet(tmp_path / "set"), as_parquet(tmp_path / "other", jpeg)
    data = parquet(folder, train_files=f"{other}/tr*.parquet").pinned(None)
    assert [path for _, path in data.named()] == [other / "train.parquet", folder / "test.parquet"]


def test_a_parquet_file_whose_pages_are_torn_is_told_on_one_line(tmp_path: Path) -> None:
    path = as_parquet(tmp_path / "set") / "train.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 200 + whole[204:])
    with pytest.raises(DataError, match=r"train\.parquet is damaged \(.*\); get it again$") as told:
        parquet(path.parent).pinned(None)
    assert "\n" not in str(told.value)


def test_a_parquet_file_with_a_torn_name_of_a_column_is_told(tmp_path: Path) -> None:
    path = as_parquet(tmp_path / "set") / "train.parquet"
    whole, told = path.read_bytes(), []
    for at in (at for at in range(len(whole) - 4) if whole[at : at + 4] == b"path"):
        path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        try:
            parquet(path.parent).pinned(None)
        except DataError as error:
            told.append(str(error))
    assert any("codec can't decode" in message for message in told)  # other places do not matter to anybody
    assert all(message.startswith(str(path)) and message.endswith("; get it again") for message in told)


def test_a_parquet_file_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    folder = as_parquet(tmp_path / "set")
    (folder / "train-2.parquet").symlink_to("nowhere.parquet")
    with pytest.raises(DataError, match=r"train-2\.parquet is a broken link or no regular file"):
        parquet(folder).pinned(None)


@pytest.mark.parametrize("column", ["image", "label"])
def test_files_of_one_part_have_the_same_columns(column: str, tmp_path: Path) -> None:
    folder = as_parquet(tmp_path / "set")
    other = {"image": "image"} if column == "image" else {"label": "fine_label"}
    pq.write_table(table(IMAGES, LABELS, **other), folder / "train2.parquet")
    with pytest.raises(DataError, match=rf"train2\.parquet has its {column}s in .*set/train\.parquet in .* `{column}`"):
        parquet(folder).pinned(None)


def test_large_files_are_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placed, "LARGE", 0)
    monkeypatch.setattr(placed, "DIGESTS", tmp_path / "digests")
    path = tmp_path / "large"
    path.write_bytes(b"one")
    first = placed.digest_of([("large", path)])
    monkeypatch.setattr(placed, "file_digest", lambda _: pytest.fail("it was read again"))
    assert placed.digest_of([("large", path)]) == first
    monkeypatch.undo()
    monkeypatch.setattr(placed, "LARGE", 0)
    monkeypatch.setattr(placed, "DIGESTS", tmp_path / "digests")
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert placed.digest_of([("large", path)]) != first


def test_data_sets_side_by_side_are_not_taken_for_one(tmp_path: Path) -> None:
    for name in ("mnist", "fashion"):
        as_parquet(tmp_path / "hub" / name)
    with pytest.raises(DataError, match=r"holds several data sets \(fashion, mnist\); name one's folder as `path`"):
        parquet(tmp_path / "hub").pinned(None)
    assert parquet(tmp_path / "hub" / "mnist").pinned(None).train_count > 0


def test_files_that_name_their_classes_otherwise_are_refused(tmp_path: Path) -> None:
    folder = as_parquet(tmp_path / "set")
    whole = pq.read_table(folder / "train.parquet")
    (folder / "train.parquet").unlink()
    for number, names in enumerate((b"cat,dog", b"dog,cat")):
        pq.write_table(whole.replace_schema_metadata({"classes": names}), folder / f"train-{number}.parquet")
    with pytest.raises(DataError, match=r"train-1\.parquet names its classes otherwise than the files before it"):
        parquet(folder).pinned(None)


def test_colours_of_16_bits_are_refused_and_not_cut() -> None:
    """Pillow reads them as colours of 8 bits and says nothing."""
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    rows = (b"\0" + bytes(12)) * 2
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(of)) + kind + of + struct.pack(">I", zlib.crc32(kind + of)) for kind, of in parts]
    with pytest.raises(DataError, match="x has 16 bits a channel; convert it to 8"):
        decoded(b"\x89PNG\r\n\x1a\n" + b"".join(chunks), "x", None)
