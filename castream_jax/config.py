"""What an experiment is: frozen dataclasses, and their strict reading from a nested mapping."""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from castream_jax.errors import InputError, unknown

LARGEST_COUNT = 100_000
"""Of masks or steps for one map: more are a slip."""


@dataclass(frozen=True)
class ModelConfig:
    """The network."""

    name: str = "resnet50"
    """One of ours, or "module:function": a function of the number of classes that returns a network of one's own, from
    the current directory or PYTHONPATH."""
    pooling: str | tuple[str, ...] = "ca"
    """What pools the features in place of GAP, which is always there beside it: "ca", or several that are trained and
    measured together, "ca, simpool, gem(p=4)"; with options "ca(taps=stage3+stage4, heads=2)", and a record of one's
    own as "my_package.poolings:mine". "gap": nothing else. A tuple of such is made one text."""
    heads: int = 1
    """Of the attention of poolings that name none."""
    stream_init: Literal["reference", "identity"] = "reference"
    """How a stream starts: drawn as the reference draws it, or ours, pooling as GAP does until it is trained."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What the frozen backbone computes in."""
    score: Literal["softmax", "sigmoid"] = "softmax"
    """How logits become scores, and the loss that belongs to it: exactly one class is right, or each by itself."""

    def __post_init__(self) -> None:
        text = self.pooling if isinstance(self.pooling, str) else ",".join(self.pooling)
        object.__setattr__(self, "pooling", ", ".join("".join(text.split()).split(",")))  # one spelling for each choice


@dataclass(frozen=True)
class DataConfig:
    """The dataset, and how its images are read."""

    name: str = "imagenet2012"
    """As TFDS knows it, or `castream prepare` made it; or the path of a folder of pictures, of a listing of them
    (`metadata.csv` in a folder, `FILE.csv`), of tars or of a saved dataset."""
    directory: str = ""
    """Where TFDS keeps datasets; empty: TFDS's own default. Of `image_folder` and `imagenet2012` the folder of the
    pictures, of a listing what its paths are in."""
    columns: str = ""
    """Columns of a listing that are not called as expected: "file_name=path, label=class, boxes=bbox, split=part"."""
    boxes: str = ""
    """For evaluation: a folder of PASCAL VOC files that say where objects are, as ImageNet's come:
    `<class>/<picture>.xml` in it, or `<picture>.xml` where no other picture or file has that name; empty: what the
    dataset holds."""
    boxes_of: Literal["class", "all"] = "class"
    """Whose boxes count, where such files name their objects: those of the picture's class, or all."""
    truth: Literal["dataset", "masks", "boxes"] = "dataset"
    """Where objects are, for a dataset that says it in two ways: as it has it, masks before boxes (of PASCAL VOC its
    boxes, as few pictures have masks), or by its masks or boxes alone."""
    train_split: str = "train"
    validation_split: str = "validation"
    classes: str = ""
    """A text file with the name of a class in each line, in the order of the labels, or "imagenet" for its 1,000;
    empty: what the dataset says."""
    image_size: int = 0
    """The side of the square that the network sees, in pixels; 0: as the weights were trained, 224 if not known."""
    mean: tuple[float, ...] = ()
    """Of pixels in 0..1, for the normalisation, a number for each colour; empty: the weights' own, ImageNet's if not
    known."""
    std: tuple[float, ...] = ()
    """As `mean`."""
    orientation: Literal["upright", "stored"] = "upright"
    """Turn pictures as their EXIF orientation says, as people see them, or take them as they are stored, as the
    reference does; in training, evaluation and explanation alike."""
    transparency: Literal["white", "drop"] = "white"
    """Put transparent pictures on white, as people see them, or drop their alpha, as the reference does."""
    crop_scale: float = 0.08
    """For training: the smallest share of an image's area that a random crop keeps."""
    flip: bool = True
    brightness: float = 0.4
    workers: int = 0
    """Processes that decode and augment; 0: threads of the main process. Batches are the same for any number."""
    on_bad_record: Literal["stop", "skip"] = "stop"
    """A record that cannot be read stops the run, or is replaced by its neighbour and reported."""


@dataclass(frozen=True)
class StageConfig:
    """One stage of training."""

    epochs: int
    batch_size: int = 256
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.1
    weight_decay: float = 1e-4
    momentum: float = 0.9
    """Of SGD."""
    schedule: Literal["steps", "cosine"] = "steps"
    """Divide by 10 after each of the first two thirds of the epochs (30 and 60 of 90), or linear warm-up and cosine to
    zero."""
    warmup: float = 0.0
    """Share of the steps in which a cosine schedule's rate rises linearly."""
    label_smoothing: float = 0.0
    mixup: float = 0.0
    """Alpha of mixup's Beta distribution; 0: off. With cutmix too, each batch takes one of them at random."""
    cutmix: float = 0.0
    """Alpha of cutmix's Beta distribution; 0: off."""
    cached_views: int = 0
    """Augmented views of each image whose features are computed once and kept in the work directory, for the stream to
    be trained on in place of new ones; 0: none. An epoch stays as many images as the split has."""
    distillation: float = 0.0
    """Share of the loss that asks the stream for the GAP network's answers, whatever the labels, which get the rest; 1
    needs no labels."""
    temperature: float = 1.0
    """What the GAP network's logits are divided by for that: below 1, its answers are more certain than it is."""
    keep_last_projection: bool = False
    """Leave the last block's projection as it starts: with `model.stream_init` "identity", what is pooled stays what
    the classifier knows, a mean of the last feature map. Of streams as they are published, "ca" and "single"."""
    clip_norm: float = 0.0
    """The largest global norm of the gradient; 0: no clipping."""
    accumulate: int = 1
    """Parts that a batch is computed in, one after the other, to need less memory; the step stays one step."""
    ema: float = 0.0
    """Decay of the average of the parameters that becomes the result; 0: the parameters themselves."""
    log_every: int = 20
    """Steps between lines of the log, each a mean over these steps."""
    validate_every: int = 0
    """Steps between measurements of the validation accuracy; 0: once an epoch. Always after the last step."""
    save_every: int = 0
    """Steps between checkpoints; 0: once an epoch. Always after the last step."""


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured, and on how many images."""

    split: str = "validation"
    num_images: int = 0
    """Images to explain; 0: the whole split."""
    accuracy_of: Literal["split", "explained"] = "split"
    """Accuracies are of the whole split, which is counted after the maps are measured, or of the explained images."""
    batch_size: int = 16
    chunk: int = 0
    """Images in one forward pass of Score-CAM and of the metrics; 0: what suits the device's memory."""
    protocol: str = "castream"
    preprocessing: Literal["protocol", "weights"] = "protocol"
    """Resize images as the protocol says, or as the known weights were published with; the hash tells which."""
    attributions: tuple[str, ...] = ("grad_cam", "grad_cam_pp", "score_cam", "attention")
    """Methods by key, or a record of one's own as "my_package.maps:my_cam"."""
    metrics: tuple[str, ...] = ()
    """Metrics by symbol, or records of one's own as "my_package.metrics:mine"; empty: the table's, and where the object
    is if the dataset says so."""
    null_maps: tuple[str, ...] = ("random", "gaussian", "constant", "fake")
    """Maps that know nothing of the class, by key, measured beside the others; "channel_sum" is one more."""
    maps: str = ""
    """A folder of maps that another tool made, to be measured as attributions; empty: none."""
    score_cam_tolerance: float = 0.0
    """Leave out channels that change no position of a Score-CAM map by more than this share of its maximum."""
    score_cam_passes: float = 0.0
    """Ask for so many channels of Score-CAM for an image at most, or below 1 for this share of them, half of these
    before any score is known, and estimate the weights of the others, with the error that this makes; 0: ask for all.
    """
    score_cam_error: float = 0.0
    """Ask for as many channels of Score-CAM for each image as it takes until the largest error of its map is stated to
    be below this share of its range; 0: for all. Of tolerance, passes and error only one is set."""
    score_cam_variant: Literal["published", "increase", "softmax", "faster", "pytorch_grad_cam", "torchcam"] = (
        "published"
    )
    """Score-CAM's weights: probabilities; less the black image's; a softmax of them; of ten channels alone; or as the
    libraries of these names weigh, by a softmax of logits, behind masks on normalised images."""
    layer_cam_stages: int = 1
    """Stages that LayerCAM fuses, the target and earlier ones, through the trunk; 0: all."""
    recipro_cam_mask: Literal["one-hot", "gaussian"] = "one-hot"
    """What Recipro-CAM leaves of a position: itself, or some of its neighbours, too."""
    attention_block: int = -1
    """Of the stream, whose raw attention is the map: 0 is the first, -1 the last."""
    rise_masks: int = 4000
    """Of RISE, for each image; a forward pass each."""
    opti_cam_steps: int = 100
    """Of Opti-CAM, for each map; each runs through the trunk forward and back, as three forward passes."""
    integrated_gradients_steps: int = 50
    """As `opti_cam_steps`, of integrated gradients."""
    smooth_grad_samples: int = 50
    """As `opti_cam_steps`, of SmoothGrad."""
    target: str = ""
    """The feature map that CAMs start from; empty: the paper's."""
    num_figures: int = 6
    """First images, in the picture grid and in the report, which holds each of them with every map."""


@dataclass(frozen=True)
class OwnProtocol:
    """A protocol of one's own: what it chooses otherwise than `evaluation.protocol`; "" and 0: as that one does.

    How pictures are turned and made opaque is chosen in `data`, for training too.
    """

    name: str = ""
    """Of its reports' folder, and in tables; empty: the other one's name and `-own`."""
    resize: str = ""
    explained_class: str = ""
    step_rows: int = 0
    blur_size: int = 0
    blur_sigma: float = 0.0
    interpolation: str = ""
    shorter_side: int = 0
    mask_space: str = ""
    mask_share: float = 0.0
    mask_baseline: str = ""
    deletion_end: str = ""
    area_over: str = ""


@dataclass(frozen=True)
class LogConfig:
    """Who hears of a run, beside the terminal and the files of the work directory."""

    hook: str = ""
    """A function of an event, as "my_package.logs:tell": it gets metrics as they are logged, figures and reports when
    they are made (`hook.Event`); empty: none."""
    num_pictures: int = 0
    """First pictures of the validation split that TensorBoard shows with their maps, at each validation; 0: none."""


@dataclass(frozen=True)
class Experiment:
    """Everything that the scripts need to know."""

    name: str
    seed: int = 0
    weights: str = ""
    """Pretrained weights (`weights.files.load_weights`): a known name, a file, hf://owner/repo, or a work directory.
    Empty: stage `backbone` trains them from scratch."""
    weights_average: bool = False
    """Where the weights' file holds a moving average beside the weights themselves, take the average."""
    replace_classifier: bool = False
    """Take a fresh classifier instead of the weights' own, for another set of classes: it is fitted to the training
    split before anything else is trained."""
    classes: tuple[int, ...] = ()
    """Keep only these of the weights' classes, in the dataset's order; empty: all."""
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    backbone: StageConfig = field(default_factory=lambda: StageConfig(epochs=0))
    """Stage A, the whole GAP network, from scratch or from its weights; 0 epochs: it stays as its weights are."""
    stream: StageConfig = field(default_factory=lambda: StageConfig(epochs=90))
    """Stage B, the stream alone."""
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    own_protocol: OwnProtocol = field(default_factory=OwnProtocol)
    log: LogConfig = field(default_factory=LogConfig)

    def __post_init__(self) -> None:
        _require(bool(self.name) and "\0" not in self.name, "name", repr(self.name), "a text")
        _require(0 <= self.seed < 2**32, "seed", self.seed, "0 to 4294967295")
        for name in ("backbone", "stream"):
            _check_stage(name, getattr(self, name))
        for name in ("cached_views", "distillation", "keep_last_projection"):
            value = getattr(self.backbone, name)
            _require(not value, f"backbone.{name}", value, "0: it is for the stream, on a trunk that stays as it is")
        data, evaluation = self.data, self.evaluation
        _require(0 <= data.image_size <= 4096, "data.image_size", data.image_size, "1 to 4096, or 0 (the weights' own)")
        _check_normalisation(data)
        _require(0 < data.crop_scale <= 1, "data.crop_scale", data.crop_scale, "a share of the area, above 0 to 1")
        _require(0 <= data.brightness < 1, "data.brightness", data.brightness, "0 to below 1")
        _require(0 <= data.workers <= 512, "data.workers", data.workers, "0 to 512")
        _require(evaluation.batch_size >= 1, "evaluation.batch_size", evaluation.batch_size, "1 or more")
        _require(evaluation.chunk >= 0, "evaluation.chunk", evaluation.chunk, "1 or more, or 0 (chosen)")
        tolerance = evaluation.score_cam_tolerance
        _require(0 <= tolerance < 1, "evaluation.score_cam_tolerance", tolerance, "0 (leave out none) to below 1")
        passes, error = evaluation.score_cam_passes, evaluation.score_cam_error
        is_count = 0 <= passes < 1 or (1 <= passes <= LARGEST_COUNT and passes == int(passes))
        _require(is_count, "evaluation.score_cam_passes", passes, "a number of channels, a share below 1, or 0 (all)")
        _require(0 <= error < 1, "evaluation.score_cam_error", error, "0 (ask for all channels) to below 1")
        for name in ("rise_masks", "opti_cam_steps", "integrated_gradients_steps", "smooth_grad_samples"):
            value = getattr(evaluation, name)
            _require(1 <= value <= LARGEST_COUNT, f"evaluation.{name}", value, f"1 to {LARGEST_COUNT}")
        stages = evaluation.layer_cam_stages
        _require(0 <= stages <= LARGEST_COUNT, "evaluation.layer_cam_stages", stages, "1 or more, or 0 (all)")
        _require(evaluation.num_images >= 0, "evaluation.num_images", evaluation.num_images, "0 (all) or more")
        _require(evaluation.num_figures >= 0, "evaluation.num_figures", evaluation.num_figures, "0 or more")
        _require(0 <= self.log.num_pictures <= 64, "log.num_pictures", self.log.num_pictures, "0 (none) to 64")
        _require(bool(evaluation.attributions), "evaluation.attributions", evaluation.attributions, "at least one")
        for name in ("resize", "interpolation", "shorter_side"):
            value = getattr(self.own_protocol, name)
            is_read = not value or evaluation.preprocessing == "protocol"
            _require(is_read, f"own_protocol.{name}", repr(value), "none with evaluation.preprocessing='weights'")

    def to_dict(self) -> dict[str, Any]:
        """Return the nested dictionary that `from_dict` reads."""
        return dataclasses.asdict(self)


def from_dict(values: Mapping[str, Any]) -> Experiment:
    """Return the experiment that a nested mapping describes.

    Raises:
      InputError: an unknown key (with the nearest known one), a missing key, a wrong type, a value out of range.
    """
    return _read(Experiment, values, "config")


def _read(cls: type, values: Any, where: str) -> Any:
    if not isinstance(values, Mapping):
        raise InputError(f"{where} is {values!r}: expected a group of settings.")
    hints = typing.get_type_hints(cls)
    for key in values:
        if key not in hints:
            raise InputError(unknown(f"setting in {where}:", key, hints))
    read = {}
    for item in dataclasses.fields(cls):
        place = f"{where}.{item.name}"
        if item.name in values:
            read[item.name] = _convert(hints[item.name], values[item.name], place)
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise InputError(f"{place} is missing.")
    return cls(**read)


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Return `value` as the type that a field declares, or raise `InputError`."""
    if dataclasses.is_dataclass(hint):
        return _read(typing.cast(type, hint), value, where)
    if typing.get_origin(hint) is types.UnionType:  # a text, or several
        return _convert(str if isinstance(value, str) else typing.get_args(hint)[1], value, where)
    if typing.get_origin(hint) is Literal:
        options = typing.get_args(hint)
        if not isinstance(value, str) or value not in options:  # an array is in nothing, and says so by an error
            raise InputError(unknown(where, value, options))
        return value
    if typing.get_origin(hint) is tuple:
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise InputError(f"{where} is {value!r}: expected a tuple.")
        return tuple(_convert(typing.get_args(hint)[0], item, where) for item in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise InputError(f"{where} is {value!r} ({type(value).__name__}): expected {hint.__name__}.")
    return value


def _check_normalisation(data: DataConfig) -> None:
    """Raise `InputError` for a mean and std that are not both there for three colours, or out of range."""
    means, stds = data.mean, data.std
    _require(len(means) in (0, 3), "data.mean", means, "three numbers, or () (the weights' own)")
    _require(len(stds) == len(means), "data.std", stds, f"as many numbers as data.mean has, {len(means)}")
    _require(all(0 <= value <= 1 for value in means), "data.mean", means, "means of pixels in 0..1")
    _require(all(0 < value <= 1 for value in stds), "data.std", stds, "deviations of pixels in 0..1, above 0")


def _check_stage(name: str, stage: StageConfig) -> None:
    """Raise `InputError` for a value of a stage that is out of range."""
    _require(0 <= stage.epochs <= 10**6, f"{name}.epochs", stage.epochs, "0 to 1000000")
    _require(1 <= stage.batch_size <= 2**20, f"{name}.batch_size", stage.batch_size, f"1 to {2**20}")
    for key in ("learning_rate", "weight_decay", "momentum", "mixup", "cutmix", "clip_norm"):
        value = getattr(stage, key)
        _require(math.isfinite(value) and value >= 0, f"{name}.{key}", value, "a finite number, 0 or more")
    _require(stage.learning_rate > 0, f"{name}.learning_rate", stage.learning_rate, "a positive number")
    _require(0 <= stage.warmup < 1, f"{name}.warmup", stage.warmup, "a share of the steps, 0 to below 1")
    _require(0 <= stage.label_smoothing < 1, f"{name}.label_smoothing", stage.label_smoothing, "0 to below 1")
    _require(0 <= stage.cached_views <= 10**4, f"{name}.cached_views", stage.cached_views, "0 (none) to 10000")
    mixed = bool(stage.cached_views and (stage.mixup or stage.cutmix))
    _require(not mixed, f"{name}.cached_views", stage.cached_views, "0 with mixup or cutmix, which mix images")
    _require(0 <= stage.distillation <= 1, f"{name}.distillation", stage.distillation, "a share of the loss, 0 to 1")
    _require(0 < stage.temperature <= 100, f"{name}.temperature", stage.temperature, "above 0, to 100")
    _require(0 <= stage.ema < 1, f"{name}.ema", stage.ema, "0 (off) to below 1")
    _require(stage.log_every >= 1, f"{name}.log_every", stage.log_every, "1 or more")
    _require(stage.validate_every >= 0, f"{name}.validate_every", stage.validate_every, "0 (once an epoch) or more")
    _require(stage.save_every >= 0, f"{name}.save_every", stage.save_every, "0 (once an epoch) or more")
    fits = stage.accumulate >= 1 and stage.batch_size % stage.accumulate == 0
    _require(fits, f"{name}.accumulate", stage.accumulate, f"a divisor of {name}.batch_size, {stage.batch_size}")
    even = stage.batch_size % 2 == 0 or not (stage.mixup or stage.cutmix)
    _require(even, f"{name}.batch_size", stage.batch_size, "an even number, as mixup and cutmix work on pairs")


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise InputError(f"config.{name} is {value}: expected {expected}.")
