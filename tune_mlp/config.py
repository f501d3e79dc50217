"""TrialConfig, one trial's settings, and its parts: every name that a user may write stands here, once."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, model_validator
from pydantic_core import PydanticCustomError

from tune_mlp.errors import clipped, did_you_mean, escaped
from tune_mlp.records import Task

Activation = Literal[
    "identity", "relu", "leaky_relu", "relu6", "elu", "selu", "gelu", "silu", "hardswish", "tanh", "sigmoid", "softplus"
]
Loss = Literal["cross_entropy", "nll", "multi_margin", "mse", "mae", "smooth_l1"]
ACTIVATION_NAMES: tuple[Activation, ...] = get_args(Activation)
LOSS_NAMES: tuple[Loss, ...] = get_args(Loss)
REGRESSION_LOSSES: tuple[Loss, ...] = ("mse", "mae", "smooth_l1")
CLASSIFICATION_LOSSES = LOSS_NAMES
DEFAULT_LOSS: dict[Task, Loss] = {"classification": "cross_entropy", "regression": "mse"}

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Width = Annotated[int, Field(ge=1, le=1_000_000)]
MAX_TRIALS = 1_000_000
"""A million trials of a second each are eleven days on one core, and their journal of about a gigabyte is held in memory."""
MAX_EPOCHS = 999_999
"""The names of a trial's files hold an epoch's number in six digits, so that they sort by it."""
MAX_SAMPLES = 1_000_000_000
"""A billion samples of a single number already fill four gigabytes."""
MAX_LAYERS = 100
"""Hidden layers, or convolutions: a plain net of more can't be trained."""
Trials = Annotated[int, Field(ge=1, le=MAX_TRIALS)]
Epochs = Annotated[int, Field(ge=1, le=MAX_EPOCHS)]


class Settings(BaseModel):
    """The base of all that is read from a user: frozen, strict about types, and closed to unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _names_are_known(cls, raw: Any) -> Any:
        """Ahead of `extra="forbid"`, which can't suggest the near name."""
        if isinstance(raw, dict):
            known = [field.alias or name for name, field in cls.model_fields.items()]
            for name in raw:
                if name not in known:
                    hint = did_you_mean(str(name), known, in_study=True)
                    context = {"name": escaped(str(name)), "shown": clipped(repr(str(name))), "hint": hint}
                    raise PydanticCustomError("unknown_name", "unknown name {shown}{hint}", context)
        return raw


def _is_odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError(f"must be odd, got {value}")
    return value


class Mlp(Settings):
    """The hidden layers of depth and width alone."""

    name: Literal["mlp"] = "mlp"


class Cnn(Settings):
    """Convolutions over a picture, each with activation and max pooling, ahead of the hidden layers."""

    name: Literal["cnn"] = "cnn"
    channels: Annotated[
        tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(strict=False, min_length=1, max_length=MAX_LAYERS)
    ] = (16, 32)
    """Channels of each convolution, one by one."""
    kernel: Annotated[
        int, Field(ge=1, le=15, json_schema_extra={"not": {"multipleOf": 2}}), AfterValidator(_is_odd)
    ] = 5
    """Height and width of each convolution's window, an odd number; the picture is padded with zeros to keep its size."""
    pool: Annotated[int, Field(ge=1, le=8)] = 2
    """The largest of so many by so many pixels goes on after each convolution's activation; 1 for no pooling."""


class Sgd(Settings):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"
    momentum: Decay = 0.0
    """Share of the last step that is kept."""
    nesterov: bool = False
    """Look ahead along the momentum; needs momentum above 0 and no dampening."""
    dampening: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the gradient that momentum leaves out: with dampening = momentum a step is a running mean."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and (self.momentum <= 0 or self.dampening != 0):
            raise ValueError(
                f"nesterov needs momentum above 0 and dampening 0, got momentum={self.momentum}, dampening={self.dampening}"
            )
        return self


class _AdamLike(Settings):
    beta1: Decay = 0.9
    """Decay of the gradient's running mean."""
    beta2: Decay = 0.999
    """Decay of the running mean of squared gradients."""
    eps: Positive = 1e-8
    """Added to the denominator, against division by zero."""


class Adam(_AdamLike):
    """Adam, with weight decay added to the gradient."""

    name: Literal["adam"] = "adam"


class AdamW(_AdamLike):
    """Adam with weight decay apart from the gradient."""

    name: Literal["adamw"] = "adamw"


class Adamax(_AdamLike):
    """Adam with the infinity norm."""

    name: Literal["adamax"] = "adamax"


class RmsProp(Settings):
    """RMSprop."""

    name: Literal["rmsprop"] = "rmsprop"
    alpha: Decay = 0.99
    """Decay of the running mean of squared gradients."""
    momentum: Decay = 0.0
    """Share of the last step that is kept."""
    eps: Positive = 1e-8
    """Added to the denominator, against division by zero."""


class DefaultInit(Settings):
    """PyTorch's own: uniform in ±1/sqrt(fan-in), weights and biases."""

    name: Literal["default"] = "default"


class Xavier(Settings):
    """Variance 2/(fan-in + fan-out); biases 0."""

    name: Literal["xavier"] = "xavier"
    distribution: Literal["uniform", "normal"] = "uniform"
    """The law that weights are drawn from."""
    gain: Positive = 1.0
    """Factor on the standard deviation."""


class Kaiming(Settings):
    """Variance gain²/fan-in; biases 0."""

    name: Literal["kaiming"] = "kaiming"
    distribution: Literal["uniform", "normal"] = "uniform"
    """The law that weights are drawn from."""
    gain: Positive = 2**0.5
    """Factor on the standard deviation; the square root of 2 suits ReLU."""


class UniformInit(Settings):
    """Uniform in ±bound; biases 0."""

    name: Literal["uniform"] = "uniform"
    bound: Positive = 1.0
    """The largest absolute weight."""


class NormalInit(Settings):
    """Normal around 0; biases 0."""

    name: Literal["normal"] = "normal"
    std: Positive = 1.0
    """The standard deviation."""


class ConstantInit(Settings):
    """All weights alike; biases 0."""

    name: Literal["constant"] = "constant"
    value: Finite = 1.0
    """The weight."""


Model = Annotated[Mlp | Cnn, Field(discriminator="name")]
Optimizer = Annotated[Sgd | Adam | AdamW | Adamax | RmsProp, Field(discriminator="name")]
Init = Annotated[DefaultInit | Xavier | Kaiming | UniformInit | NormalInit | ConstantInit, Field(discriminator="name")]

BRANCHES: dict[str, dict[str, type[Settings]]] = {
    "model": {"mlp": Mlp, "cnn": Cnn},
    "optimizer": {"sgd": Sgd, "adam": Adam, "adamw": AdamW, "adamax": Adamax, "rmsprop": RmsProp},
    "init": {
        "default": DefaultInit,
        "xavier": Xavier,
        "kaiming": Kaiming,
        "uniform": UniformInit,
        "normal": NormalInit,
        "constant": ConstantInit,
    },
}
"""The parameters whose choice has options of its own, as `optimizer.sgd.momentum`."""
MODEL_NAMES = tuple(BRANCHES["model"])
OPTIMISER_NAMES = tuple(BRANCHES["optimizer"])
INIT_NAMES = tuple(BRANCHES["init"])


class TrialConfig(Settings):
    """One trial's settings: what models, engines and the trainer see."""

    lr: Positive = 0.01
    """Learning rate."""
    batch_size: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 32
    """Samples in a step; the last step of an epoch takes what is left."""
    model: Model = Mlp()
    """What stands ahead of the last layer: hidden layers (mlp), or convolutions and then hidden layers (cnn, for pictures)."""
    depth: Annotated[int, Field(ge=0, le=MAX_LAYERS)] = 1
    """Hidden layers; 0 is a linear model."""
    width: Width = 64
    """Units in each hidden layer."""
    widths: Annotated[tuple[Width, ...], Field(strict=False, max_length=MAX_LAYERS)] | None = None
    """Units of each hidden layer, one by one, in place of depth and width."""
    activation: Activation = "relu"
    """What follows each hidden layer and each convolution."""
    loss: Loss = "cross_entropy"
    """What training minimises; nll puts a log-softmax on top, mse, mae and smooth_l1 meet classes as one-hot targets."""
    optimizer: Optimizer = Sgd()
    """How a step follows from the gradient."""
    weight_decay: NonNegative = 0.0
    """L2: this times each weight is added to its gradient (adamw: taken off the weight itself)."""
    l1: NonNegative = 0.0
    """L1: this times each weight's sign is added to its gradient; biases are left alone."""
    dropout: Decay = 0.0
    """Share of each hidden layer's outputs, and of each convolution's after pooling, set to 0 in training."""
    batch_norm: bool = False
    """Normalise each hidden layer's inputs to its activation over the batch, and each channel of a convolution's; a batch of one uses the running statistics. The layer before it has no bias, which it would take away again."""
    init: Init = DefaultInit()
    """Where the weights start."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Each training picture is turned by a random angle of at most so many degrees, anew in each epoch."""
    noise: NonNegative = 0.0
    """Deviation of Gaussian noise that is added to each scaled training input, anew in each epoch."""

    FIELDS: ClassVar[frozenset[str]]

    @property
    def hidden(self) -> tuple[int, ...]:
        """The hidden layers' widths, first to last."""
        return self.widths if self.widths is not None else (self.width,) * self.depth


TrialConfig.FIELDS = frozenset(TrialConfig.model_fields)


EAGER_ONLY: dict[str, Callable[[Collection[Any]], str]] = {
    "model": lambda values: "a CNN" if "cnn" in values else "",
    "rotation": lambda values: "rotation" if any(value > 0 for value in values) else "",
    "noise": lambda values: "noise" if any(value > 0 for value in values) else "",
}
"""The parameters that the compiled engine may not know: what it lacks where a parameter may have any of these values."""


def eager_only(config: TrialConfig) -> str:
    """What of it only the eager engine trains; empty where nothing is."""
    values = {"model": config.model.name, "rotation": config.rotation, "noise": config.noise}
    return next(filter(None, (EAGER_ONLY[name]([value]) for name, value in values.items())), "")


Normalize = Literal["unit", "symmetric", "standard", "per_sample"]
NORMALIZE: tuple[Normalize, ...] = get_args(Normalize)


class Head(Settings):
    """A split by order: no shuffling."""

    head: Annotated[int, Field(ge=1, le=MAX_SAMPLES)]
    """So many samples from the start train; the rest is held out."""


class Folds(Settings):
    """K-fold cross-validation."""

    folds: Annotated[int, Field(ge=2, le=100)]
    """Each sample validates once, in one of so many folds; a trial's metric is the folds' mean."""


def _split_kind(raw: Any) -> str:
    """Which kind of split a value means, so that an error speaks of that kind alone."""
    if isinstance(raw, dict):
        return "by folds" if any(str(name).startswith("fold") for name in raw) else "by head"
    return "by head" if isinstance(raw, Head) else "by folds" if isinstance(raw, Folds) else "by share"


def _test_split_kind(raw: Any) -> str:
    return "by head" if isinstance(raw, dict | Head) else "by share"


Split = Annotated[
    Annotated[float, Field(gt=0, lt=1), Tag("by share")]
    | Annotated[Head, Tag("by head")]
    | Annotated[Folds, Tag("by folds")],
    Discriminator(_split_kind),
]
TestSplit = Annotated[
    Annotated[float, Field(ge=0, lt=1), Tag("by share")] | Annotated[Head, Tag("by head")],
    Discriminator(_test_split_kind),
]


class DataSettings(Settings):
    """What is learnt, and how it is split and scaled."""

    name: Annotated[str, Field(min_length=1)]
    """mnist, fashion_mnist, kmnist, digits, noisy_curve, csv:FILE, parquet:FILE or package.module:function."""
    normalize: Normalize = "standard"
    """unit: to [0, 1]; symmetric: to [-1, 1]; standard: to mean 0 and deviation 1 over the training part; per_sample: each sample to mean 0 and deviation 1."""
    validation: Split = 0.2
    """What is kept from training to choose by: a share, {head: N} to train on the first N, or {folds: K}."""
    test: TestSplit = 0.2
    """What is cut off for the winner's one test where the dataset has no test part of its own: a share, or {head: N} to keep all but the first N; 0 for none."""
    samples: Annotated[int, Field(ge=2, le=MAX_SAMPLES)] | None = None
    """Learn from at most so many samples, drawn by the seed, training and validation together; the test part stays whole."""
    stratify: bool = False
    """Keep the classes' shares alike in all parts of a split."""
    offline: str | None = None
    """The dataset to stand in when `name` is neither found nor to be downloaded."""
    target: str | None = None
    """The column to predict, for csv: and parquet:."""
    task: Literal["auto", "classification", "regression"] = "auto"
    """What a table's target is; auto: text and few whole numbers are classes."""
    missing: Literal["refuse", "fill", "drop"] = "refuse"
    """What a table's missing inputs lead to: an error, the training part's median (for text: a category of its own), or leaving the row out."""
    scale_target: bool = True
    """Train regression on targets of mean 0 and deviation 1; rmse is given in the target's own unit."""


def field_adapter(owner: type[Settings], name: str) -> TypeAdapter[Any]:
    """Checks one value of one parameter, apart from the rest of its config."""
    info = owner.model_fields[name]
    annotated: Any = Annotated[info.annotation, info]
    return TypeAdapter(annotated, config=ConfigDict(strict=True))
