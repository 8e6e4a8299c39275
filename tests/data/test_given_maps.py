"""Maps of another tool: found by image id, and looked at before anything is measured."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from castream_jax.data.given_maps import check_given_maps, open_given_maps
from castream_jax.data.pictures.decoding import AS_SEEN
from castream_jax.data.source import Source
from castream_jax.errors import InputError

IDS = ("a/1.jpg", "a/2.jpg", "b/3.jpg")
MAPS = {name: np.random.default_rng(i).random((4, 5)).astype(np.float32) for i, name in enumerate(IDS)}
SOURCE = Source("some", "test", [{"id": name} for name in IDS], ("x", "y"), AS_SEEN)


def write(folder, maps):
    """Write each map as another tool does, every second one compressed."""
    for i, (name, values) in enumerate(maps.items()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if i % 2:
            np.savez_compressed(folder / f"{name}.npz", values)
        else:
            np.save(folder / f"{name}.npy", values)
    return str(folder)


def test_a_folder_and_a_file_hold_the_same(tmp_path):
    save_file(MAPS, tmp_path / "torch_cam.safetensors")
    folder, file = open_given_maps(write(tmp_path / "cam", MAPS)), open_given_maps(f"{tmp_path}/torch_cam.safetensors")
    assert (folder.name, file.name) == ("cam", "torch_cam")
    assert folder.ids == file.ids == set(IDS)
    for given in (folder, file):
        found = given.batch(np.array(["b/3.jpg", "a/1.jpg", ""]))
        np.testing.assert_array_equal(found, [MAPS["b/3.jpg"], MAPS["a/1.jpg"], np.zeros((4, 5))])
    one, other = (check_given_maps(given, SOURCE, range(3)) for given in (folder, file))
    assert one == other
    save_file(MAPS | {"a/1.jpg": MAPS["a/2.jpg"]}, tmp_path / "torch_cam.safetensors")
    assert check_given_maps(open_given_maps(str(file.place)), SOURCE, range(3)) != one


def test_all_that_is_wrong_is_listed(tmp_path):
    wrong = {
        "a/1.jpg": MAPS["a/1.jpg"],
        "a/2.jpg": np.full((4, 5), np.nan),
        "c/4.jpg": MAPS["a/1.jpg"],
    }
    given = open_given_maps(write(tmp_path / "cam", wrong))
    told = r"NaN or infinities: a/2\.jpg; no map: b/3\.jpg; of no image of the split: c/4\.jpg"
    with pytest.raises(InputError, match=told):
        check_given_maps(given, SOURCE, range(3))
    with pytest.raises(InputError, match=r"NaN or infinities: a/2\.jpg\."):
        check_given_maps(given, SOURCE, range(2))  # the others may be of images that are not measured
    assert check_given_maps(given, SOURCE, range(1))


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (MAPS["a/1.jpg"] * 2, r"out of 0\.\.1: a/2\.jpg"),
        (MAPS["a/1.jpg"].T, r"not \[h w\] as the first, \[4, 5\]: a/2\.jpg"),
        (MAPS["a/1.jpg"].astype("U8"), r"not numbers: a/2\.jpg"),
        (np.array([{}, None]), r"cannot be read: a/2\.jpg \(.*allow_pickle"),
    ],
)
def test_each_mistake_has_its_words(tmp_path, second, told):
    given = open_given_maps(write(tmp_path / "cam", MAPS | {"a/2.jpg": second}))
    with pytest.raises(InputError, match=told):
        check_given_maps(given, SOURCE, range(3))


def test_what_is_no_place_of_maps_is_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"no")
    for place, told in (
        ("nowhere", "'nowhere': expected a folder of <id>.npy"),
        (str(tmp_path), "holds no maps"),
        (str(tmp_path / "x.safetensors"), "cannot read .* as safetensors"),
    ):
        with pytest.raises(InputError, match=told):
            open_given_maps(place)
