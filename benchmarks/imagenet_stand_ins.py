"""Stand-ins for ImageNet as it is handed out and as people unpack it: the real names and layouts, few small pictures.

    DIR/ILSVRC2012_img_train.tar         a tar for each of the 1,000 classes, n01440764.tar
    DIR/ILSVRC2012_img_val.tar           ILSVRC2012_val_00000001.JPEG and on
    FOLDERS/{train,val}/n01440764/
    DEVKIT/{train,val}/                  val flat, ILSVRC2012_validation_ground_truth.txt beside
    LISTED/{train,val}/                  val flat, val.txt beside
    KAGGLE/ILSVRC/Data/CLS-LOC/{train,val}/, LOC_val_solution.csv
    BOXES/val/                           ILSVRC2012_val_00000001.xml and on
    imagenette2/{train,val}/n01440764/   ten classes

Pictures are parts of bundled photographs. As in ImageNet some are grey, one is a PNG called JPEG, one is in CMYK.
"""

import io
import os
import tarfile
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from castream_jax.data.classes.imagenet_names import imagenet_classes
from castream_jax.data.sources.imagenet_labels import validation_classes
from configs.imagenette_resnet18_ca import CLASSES

PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
WIDTH, HEIGHT = 100, 75
ODD = {"n01739381_1309.JPEG": "CMYK", "n02105855_2933.JPEG": "PNG"}
"""Pictures of ImageNet that are no JPEGs in RGB or grey, by name."""
LAYOUTS = ("FOLDERS", "DEVKIT", "LISTED", "KAGGLE")
"""What lies unpacked, each a root with train and val."""
BOX = (10, 5, 80, 60)
"""Of every validation picture: left, top, right, bottom in pixels."""


class Pictures:
    """Encoded pictures by name, every one another."""

    def __init__(self) -> None:
        self._photos = [Image.fromarray(getattr(skimage.data, name)()).convert("RGB") for name in PHOTOS]
        self._rng = np.random.default_rng(0)
        self._made = 0

    def encode(self, name: str) -> bytes:
        """Return a picture, in the format that ImageNet has it in under this name."""
        photo = self._photos[self._made % len(PHOTOS)]
        left, top = (int(self._rng.integers(size)) for size in (photo.width - WIDTH, photo.height - HEIGHT))
        picture = photo.crop((left, top, left + WIDTH, top + HEIGHT))
        self._made += 1
        if self._made % 50 == 0:
            picture = picture.convert("L")
        odd = ODD.get(name)
        buffer = io.BytesIO()
        picture.convert("CMYK" if odd == "CMYK" else picture.mode).save(buffer, "png" if odd == "PNG" else "jpeg")
        return buffer.getvalue()


def make_stand_ins(place: Path, num_validation: int) -> None:
    """Write all layouts; those of folders share their pictures as hard links."""
    pictures = Pictures()
    train = {class_id: _make_class(class_id, 2, pictures) for class_id in imagenet_classes()}
    names = [f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, num_validation + 1)]
    val = {name: pictures.encode(name) for name in names}
    _write_archives(place / "DIR", train, val)
    _write_folders(place / "FOLDERS", train, val)
    for root in (place / "DEVKIT", place / "LISTED", place / "KAGGLE" / "ILSVRC" / "Data" / "CLS-LOC"):
        root.mkdir(parents=True)
        _link(place / "FOLDERS" / "train", root / "train")
        (root / "val").mkdir()
        for name, class_id in zip(names, validation_classes()):
            os.link(place / "FOLDERS" / "val" / class_id / name, root / "val" / name)
    _write_labels(place, names)
    few = {class_id: _make_class(class_id, 6, pictures) for class_id in np.array(imagenet_classes())[list(CLASSES)]}
    for class_id, made in few.items():
        for i, (name, encoded) in enumerate(made.items()):
            folder = place / "imagenette2" / ("train" if i < 4 else "val") / class_id
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(encoded)


def _make_class(class_id: str, count: int, pictures: Pictures) -> dict[str, bytes]:
    """Return training pictures of a class by name, the odd one of it among them."""
    names = [name for name in ODD if name.startswith(class_id)] + [f"{class_id}_{i}.JPEG" for i in range(count)]
    return {name: pictures.encode(name) for name in names[:count]}


def _write_archives(place: Path, train: dict[str, dict[str, bytes]], val: dict[str, bytes]) -> None:
    place.mkdir(parents=True)
    tars = {}
    for class_id, made in train.items():
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            _add(archive, made)
        tars[f"{class_id}.tar"] = buffer.getvalue()
    for name, members in (("train", tars), ("val", val)):
        with tarfile.open(place / f"ILSVRC2012_img_{name}.tar", "w") as archive:
            _add(archive, members)


def _add(archive: tarfile.TarFile, members: dict[str, bytes]) -> None:
    for name, content in members.items():
        header = tarfile.TarInfo(name)
        header.size = len(content)
        archive.addfile(header, io.BytesIO(content))


def _write_folders(place: Path, train: dict[str, dict[str, bytes]], val: dict[str, bytes]) -> None:
    split_val: dict[str, dict[str, bytes]] = {}
    for (name, encoded), class_id in zip(val.items(), validation_classes()):
        split_val.setdefault(class_id, {})[name] = encoded
    for split, classes in (("train", train), ("val", split_val)):
        for class_id, made in classes.items():
            folder = place / split / class_id
            folder.mkdir(parents=True)
            for name, encoded in made.items():
                (folder / name).write_bytes(encoded)


def _link(old: Path, new: Path) -> None:
    """Make a folder of the same files, as links."""
    for file in old.glob("*/*"):
        linked = new / file.relative_to(old)
        linked.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, linked)


def _write_labels(place: Path, names: list[str]) -> None:
    """Write what lies beside flat pictures: the devkit's numbers, which are in an order of its own, val.txt, boxes."""
    ids, classes = imagenet_classes(), validation_classes()
    numbers = dict(zip(ids, np.random.default_rng(1).permutation(len(ids)) + 1))
    truth = place / "DEVKIT" / "ILSVRC2012_validation_ground_truth.txt"
    truth.write_text("".join(f"{numbers[class_id]}\n" for class_id in classes))
    labels = {class_id: label for label, class_id in enumerate(ids)}
    listed = [f"{name} {labels[class_id]}\n" for name, class_id in zip(names, classes)]
    (place / "LISTED" / "val.txt").write_text("".join(listed))
    (place / "BOXES" / "val").mkdir(parents=True)
    for name, class_id in zip(names, classes):
        (place / "BOXES" / "val" / name).with_suffix(".xml").write_text(_annotate(name, class_id))
    box = " ".join(map(str, BOX))
    boxed = [f"{Path(name).stem},{class_id} {box} \n" for name, class_id in zip(names, classes)]
    (place / "KAGGLE" / "LOC_val_solution.csv").write_text("".join(["ImageId,PredictionString\n", *boxed]))


def _annotate(name: str, class_id: str) -> str:
    """Return a file of boxes as ImageNet's archive of them holds it."""
    corners = "".join(f"<{side}>{at}</{side}>" for side, at in zip(("xmin", "ymin", "xmax", "ymax"), BOX))
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    found = f"<object><name>{class_id}</name><difficult>0</difficult><bndbox>{corners}</bndbox></object>"
    return f"<annotation><folder>val</folder><filename>{Path(name).stem}</filename>{size}{found}</annotation>\n"
