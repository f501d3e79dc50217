"""The settings of one trial, TrialConfig and its parts; each name that a user may write is defined here."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator
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
MAX_NETS = 20
"""The largest number of nets that answer together; the twentieth changes an average by a twentieth."""
Trials = Annotated[int, Field(ge=1, le=MAX_TRIALS)]
Epochs = Annotated[int, Field(ge=1, le=MAX_EPOCHS)]


class Settings(BaseModel):
    """The base class of all settings that a user writes: they can't be changed, types are strict, and unknown names are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _names_are_known(cls, raw: Any) -> Any:
        """Refuse an unknown name and suggest a known one, which `extra="forbid"` can't do."""
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
    """A multilayer perceptron: the hidden layers that depth and width describe."""

    name: Literal["mlp"] = "mlp"


class Cnn(Settings):
    """A convolutional network for pictures: convolutions with an activation and max pooling each, and then the hidden layers."""

    name: Literal["cnn"] = "cnn"
    channels: Annotated[
        tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(strict=False, min_length=1, max_length=MAX_LAYERS)
    ] = (16, 32)
    """The number of channels of each convolution, first to last."""
    kernel: Annotated[
        int, Field(ge=1, le=15, json_schema_extra={"not": {"multipleOf": 2}}), AfterValidator(_is_odd)
    ] = 5
    """The height and width of each convolution's window, an odd number; the picture is padded with zeros to keep its size."""
    pool: Annotated[int, Field(ge=1, le=8)] = 2
    """The side of the squares that max pooling reduces to their largest value after each convolution's activation; 1 for no pooling."""


class Sgd(Settings):
    """Stochastic gradient descent."""

    name: Literal["sgd"] = "sgd"
    momentum: Decay = 0.0
    """The share of the last step that is added to the next one."""
    nesterov: bool = False
    """Use Nesterov's momentum, which looks ahead; it needs momentum above 0 and no dampening."""
    dampening: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The share of the gradient that momentum leaves out; with dampening equal to momentum, a step is a running mean of gradients."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and (self.momentum <= 0 or self.dampening != 0):
            raise ValueError(
                f"nesterov needs momentum above 0 and dampening 0, got momentum={self.momentum}, dampening={self.dampening}"
            )
        return self


class _AdamLike(Settings):
    beta1: Decay = 0.9
    """The decay of the gradient's running mean."""
    beta2: Decay = 0.999
    """The decay of the running mean of squared gradients."""
    eps: Positive = 1e-8
    """A small number that is added to the denominator, against division by zero."""


class Adam(_AdamLike):
    """Adam, with weight decay added to the gradient."""

    name: Literal["adam"] = "adam"


class AdamW(_AdamLike):
    """Adam, with weight decay applied to the weights and not to the gradient."""

    name: Literal["adamw"] = "adamw"


class Adamax(_AdamLike):
    """Adamax, a variant of Adam with the infinity norm."""

    name: Literal["adamax"] = "adamax"


class RmsProp(Settings):
    """RMSprop, which divides each gradient by the root of its running mean square."""

    name: Literal["rmsprop"] = "rmsprop"
    alpha: Decay = 0.99
    """The decay of the running mean of squared gradients."""
    momentum: Decay = 0.0
    """The share of the last step that is added to the next one."""
    eps: Positive = 1e-8
    """A small number that is added to the denominator, against division by zero."""


class DefaultInit(Settings):
    """PyTorch's default: weights and biases are uniform in ±1/sqrt(fan-in)."""

    name: Literal["default"] = "default"


class Xavier(Settings):
    """Xavier (Glorot) initialisation: weights have the variance 2/(fan-in + fan-out), biases are 0."""

    name: Literal["xavier"] = "xavier"
    distribution: Literal["uniform", "normal"] = "uniform"
    """The distribution that weights are drawn from."""
    gain: Positive = 1.0
    """A factor on the standard deviation."""


class Kaiming(Settings):
    """Kaiming (He) initialisation: weights have the variance gain²/fan-in, biases are 0."""

    name: Literal["kaiming"] = "kaiming"
    distribution: Literal["uniform", "normal"] = "uniform"
    """The distribution that weights are drawn from."""
    gain: Positive = 2**0.5
    """A factor on the standard deviation; the square root of 2 suits ReLU."""


class UniformInit(Settings):
    """Weights are uniform in ±bound, biases are 0."""

    name: Literal["uniform"] = "uniform"
    bound: Positive = 1.0
    """The largest absolute value of a weight."""


class NormalInit(Settings):
    """Weights are normal with mean 0, biases are 0."""

    name: Literal["normal"] = "normal"
    std: Positive = 1.0
    """The standard deviation."""


class ConstantInit(Settings):
    """All weights have one value, biases are 0."""

    name: Literal["constant"] = "constant"
    value: Finite = 1.0
    """The value of each weight."""


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
"""The parameters whose options have settings of their own, such as `optimizer.sgd.momentum`."""
MODEL_NAMES = tuple(BRANCHES["model"])
OPTIMISER_NAMES = tuple(BRANCHES["optimizer"])
INIT_NAMES = tuple(BRANCHES["init"])


class TrialConfig(Settings):
    """The settings of one trial, as models, engines and the trainer see them."""

    lr: Positive = 0.01
    """The learning rate."""
    batch_size: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = 32
    """The number of samples in a step; the last step of an epoch takes the samples that are left."""
    lr_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The number that the learning rate is multiplied by after each epoch; 1 keeps the rate as it is."""
    model: Model = Mlp()
    """The kind of network: hidden layers (mlp), or convolutions and then hidden layers (cnn, for pictures)."""
    depth: Annotated[int, Field(ge=0, le=MAX_LAYERS)] = 1
    """The number of hidden layers; 0 is a linear model."""
    width: Width = 64
    """The number of units in each hidden layer."""
    widths: Annotated[tuple[Width, ...], Field(strict=False, max_length=MAX_LAYERS)] | None = None
    """The number of units of each hidden layer, first to last, in place of depth and width."""
    activation: Activation = "relu"
    """The activation function after each hidden layer and each convolution."""
    loss: Loss = "cross_entropy"
    """The loss that training minimises; nll adds a log-softmax to the network, and mse, mae and smooth_l1 take classes as one-hot targets."""
    optimizer: Optimizer = Sgd()
    """The algorithm that computes a step from the gradient."""
    class_weight: Literal["none", "balanced"] = "none"
    """The weight of each sample in the training loss: balanced gives each class the same weight in all, as scikit-learn's class_weight does; validation and test are never weighted."""
    weight_decay: NonNegative = 0.0
    """L2 regularisation: this number times each weight is added to its gradient (with adamw, it is subtracted from the weight itself)."""
    l1: NonNegative = 0.0
    """L1 regularisation: this number times each weight's sign is added to its gradient; biases are not regularised."""
    dropout: Decay = 0.0
    """The share of each hidden layer's outputs, and of each convolution's after pooling, that is set to 0 in training."""
    batch_norm: bool = False
    """Batch normalisation ahead of each activation, per unit or per channel of a convolution; a batch of one sample uses the running statistics. The layer ahead of it has no bias, since the normalisation would remove it."""
    init: Init = DefaultInit()
    """The distribution of the initial weights."""
    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    """The largest angle in degrees by which each training picture is rotated at random, anew in each epoch."""
    noise: NonNegative = 0.0
    """The standard deviation of the Gaussian noise that is added to each scaled training input, anew in each epoch."""

    FIELDS: ClassVar[frozenset[str]]

    def lr_in(self, epoch: int) -> float:
        """Return the learning rate of an epoch, the first of which is 1."""
        return self.lr * self.lr_decay ** (epoch - 1)

    @property
    def hidden(self) -> tuple[int, ...]:
        """The number of units of each hidden layer, first to last."""
        return self.widths if self.widths is not None else (self.width,) * self.depth


TrialConfig.FIELDS = frozenset(TrialConfig.model_fields)


EAGER_ONLY: dict[str, Callable[[Collection[Any]], str]] = {
    "model": lambda values: "a CNN" if "cnn" in values else "",
    "rotation": lambda values: "rotation" if any(value > 0 for value in values) else "",
    "noise": lambda values: "noise" if any(value > 0 for value in values) else "",
}
"""The parameters that the compiled engine supports in part. Each function names what the engine lacks for these values, or returns an empty text."""


def eager_only(config: TrialConfig) -> str:
    """Name what only the eager engine can train of this configuration; empty if both engines can train it."""
    values = {"model": config.model.name, "rotation": config.rotation, "noise": config.noise}
    return next(filter(None, (EAGER_ONLY[name]([value]) for name, value in values.items())), "")


def field_adapter(owner: type[Settings], name: str) -> TypeAdapter[Any]:
    """Return what checks one value of one parameter, apart from the rest of its settings."""
    info = owner.model_fields[name]
    annotated: Any = Annotated[info.annotation, info]
    return TypeAdapter(annotated, config=ConfigDict(strict=True))
