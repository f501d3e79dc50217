"""Bad study files: each is refused in one line that names the file, the line, the path and what to do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tune_mlp.errors import StudyError, TuneMlpError
from tune_mlp.space.domains import DOMAINS
from tune_mlp.space.files import shipped
from tune_mlp.study.study import Study

HEAD = "data: {name: digits}\nspace:\n"


def space(*lines: str) -> str:
    """Return a study file with these lines under `space`; the first of them is the file's third line."""
    return HEAD + "".join(f"  {line}\n" for line in lines)


def setting(*lines: str) -> str:
    """Return a study file with these lines as settings; the first of them is the file's third line."""
    return "data: {name: digits}\nspace: {lr: 0.1}\n" + "".join(f"{line}\n" for line in lines)


def data(*lines: str) -> str:
    """Return a study file with these lines under `data`; the first of them is the file's third line."""
    return "space: {}\ndata:\n" + "".join(f"  {line}\n" for line in lines)


BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"

NOT_YAML: list[tuple[str | bytes, int | None, str]] = [
    (b"data: \xff\n", 1, "UTF-8"),
    (b"description: caf\xe9\n", 1, "UTF-8"),
    (setting("seed: 1").encode("utf-16"), 1, "UTF-8"),
    (b"seed: 1\nname: \x00\n", 2, "U+0000"),
    ("seed: 1\n\nname: a\x07b\n", 3, "U+0007"),
    ("seed:\n\t- 1\n", 2, "'\\t'"),
    ("", 1, "empty"),
    ("# nothing\n", 1, "empty"),
    ("---\n", 2, "mapping of settings, got null"),
    ("- lr\n", 1, "mapping of settings, got ['lr']"),
    ("hello\n", 1, "mapping of settings, got 'hello'"),
    ("3\n", 1, "mapping of settings, got 3"),
    ("seed: 1\n---\nseed: 2\n", 2, "single document"),
    ("seed: !!int 1\n", 1, "tags"),
    ("x: 1\nseed: !!python/object/apply:os.system [ls]\n", 2, "tags"),
    ("seed: !mine 1\n", 1, "tags"),
    ("seed: &x 1\n", 1, "anchors and aliases"),
    ("seed: 1\ntrials: *x\n", 2, "anchors and aliases"),
    (BOMB, 1, "anchors and aliases"),
    ("base: 1\n<<: {seed: 1}\n", 1, "unknown name 'base'"),
    ("<<: {seed: 1}\n", 1, "unknown name '<<'"),
    ("[" * 10_000, 1, "deeper"),
    ("{a: " * 10_000, 1, "deeper"),
    ("- " * 10_000, 1, "deeper"),
    ("".join(f"{' ' * i}a:\n" for i in range(60)), 40, "deeper"),
    ("x" * 2_000_000, None, "can't read the study file: larger than 300 kB"),
    ("seed: 1\nseed: 2\n", 2, "'seed' is given twice"),
    (space("lr: 0.1", "width: 3", "lr: 0.2"), 5, "space: 'lr' is given twice"),
    ("? [a, b]\n: 1\n", 1, "a key must be a word or a whole number"),
    ("? {a: b}\n: 1\n", 1, "a key must be a word or a whole number"),
    ("null: 1\n", 1, "a key must be a word or a whole number, got null"),
    ("true: 1\n", 1, "a key must be a word or a whole number, got true"),
    ("1.5: 1\n", 1, "a key must be a word or a whole number, got 1.5"),
    ('"": 1\n', 1, "a key must be a word or a whole number, got ''"),
    ('"a\\nb": 1\n', 1, "a key must be a word or a whole number, got 'a\\nb'"),
    ("seed: [1, 2\n", 2, "expected ',' or ']'"),
    ("seed: {a: 1\n", 2, "expected ',' or '}'"),
    ("seed: 'x\n", 2, "quoted scalar"),
    ("seed: a: b\n", 1, "mapping values are not allowed here"),
    ("seed: 1\n trials: 2\n", 2, "mapping values are not allowed here"),
    ("data:\n  name: digits\n space: {}\n", 3, "block mapping"),
    ("@seed: 1\n", 1, "'@'"),
    ("%YAML 2.0\n---\nseed: 1\n", 1, "incompatible YAML"),
    ("seed: 'a\\qb'\nname: \"a\\qb\"\n", 2, "unknown escape character 'q'"),
    ('seed: 1\nname: "\\U00110000"\n', 2, "the number of an escape"),
    ('name: "\\UFFFFFFFF"\n', 1, "the number of an escape"),
    ("%YAML 1." + "9" * 5000 + "\n---\nseed: 1\n", 1, "of a version is too large"),
    (setting('description: "\\ud800"'), 3, "description: text must be Unicode, and '\\ud800' holds half a character"),
    (setting("seed: " + "9" * 5000), 3, "seed: a whole number has at most 100 digits, got 5000"),
]

BAD_SPACE: list[tuple[str, int | None, str]] = [
    (space("lrr: 0.1"), 3, "space.lrr: unknown parameter 'lrr' (did you mean 'lr'?)"),
    (space("lr: 0.1", "batchsize: 8"), 4, "did you mean 'batch_size'?"),
    (space("5: 0.1"), 3, "unknown parameter '5'"),
    (space("zzz: 0.1"), 3, "known: lr, batch_size"),
    (space("momentum: 0.9"), 3, "'momentum' belongs inside optimizer, as optimizer: {choice: {sgd: {momentum: ...}}}"),
    (space("gain: 1"), 3, "'gain' belongs inside init"),
    (space("lr: fast"), 3, "space.lr: must be a number, got 'fast'"),
    (space("lr: true"), 3, "must be a number, got true"),
    (space("lr: null"), 3, "must be a value, a list of values or a domain, got null"),
    (space("lr: 0"), 3, "must be greater than 0, got 0"),
    (space("lr: .nan"), 3, "must be a finite number, got nan"),
    (space("lr: .inf"), 3, "must be a finite number, got inf"),
    (space("lr: 1e999"), 3, "must be a finite number, got inf"),
    (space("lr: [0.1, 0.2]"), 3, "must be a number, got [0.1, 0.2]"),
    (space("lr: []"), 3, "must be a number, got []"),
    (space("lr: {}"), 3, "a domain has one of choice, grid, uniform, log, int, log_int, normal, got nothing"),
    (space("lr: {lgo: [0.1, 1]}"), 3, "got lgo (did you mean 'log'?)"),
    (space("lr:", "  log: [0.1, 1]", "  uniform: [0.1, 1]"), 3, "got log, uniform"),
    (space("lr: {choice: [0.1], grid: [0.2]}"), 3, "got choice, grid"),
    (space("lr:", "  log: [1, 0.1]"), 3, "space.lr: low must be below high, got low=1.0, high=0.1"),
    (space("lr: {log: [0.1, 0.1]}"), 3, "low must be below high"),
    (space("lr: {log: [0, 1]}"), 3, "low must be above 0 on a log scale, got low=0.0"),
    (space("lr: {log: [-1, 1]}"), 3, "low must be above 0 on a log scale"),
    (space("lr:", "  log:", "    - 0.1", "    - .nan"), 6, "space.lr.log.1: must be a finite number, got nan"),
    (space("lr: {log: [0.1]}"), 3, "space.lr.log: must be a list of two numbers, got [0.1]"),
    (space("lr: {log: [0.1, 0.2, 0.3]}"), 3, "must be a list of two numbers"),
    (space("lr: {log: 0.1}"), 3, "must be a list of two numbers, got 0.1"),
    (space("lr: {log: {low: 0.1}}"), 3, "must be a list of two numbers"),
    (space("lr: {log: ['0.1', 1]}"), 3, "space.lr.log.0: must be a number, got '0.1'"),
    (space("lr: {log: null}"), 3, "must be a list of two numbers, got null"),
    (
        space("lr:", "  uniform: [0.1, 1]", "  stpe: 0.1"),
        5,
        "space.lr.stpe: unknown name 'stpe' (did you mean 'step'?)",
    ),
    (space("lr: {uniform: [0.1, 1], step: 0}"), 3, "space.lr.step: must be greater than 0"),
    (space("lr: {uniform: [0.1, 1], step: 3}"), 3, "step must fit between low and high"),
    (space("lr: {uniform: [1, 1e300], step: 1e-300}"), 3, "step is too small for the range"),
    (space("lr: {uniform: [-1e308, 1e308]}"), 3, "low and high are too far apart"),
    (space("lr: {uniform: [-0.1, 1]}"), 3, "must be greater than 0, got -0.1"),
    (space("lr: {normal: [0.1, 0]}"), 3, "standard deviation must be above 0"),
    (space("lr: {normal: [0.1, 0.1]}"), 3, "space.lr: must be greater than 0, got -"),
    (space("lr: {normal: [1e308, 1e308]}"), 3, "mean and standard deviation are too large"),
    (space("lr: {normal: [0.1, 0.1], low: 1, high: 0.5}"), 3, "low must be below high"),
    (space("lr: {normal: [0.1, 0.1], low: 50}"), 3, "leave almost nothing of the distribution"),
    (space("width: {normal: [3, 1], low: 1.2, high: 1.8, round: true}"), 3, "no whole number lies between"),
    (space("width: {normal: [64, 8], low: 8}"), 3, "space.width: must be a whole number, got"),
    (space("width: {normal: [64, 8], low: 8, round: 1}"), 3, "space.width.round: must be true or false, got 1"),
    (space("depth: {uniform: [1, 2]}"), 3, "space.depth: must be a whole number, got 1.0"),
    (space("depth: {int: [0, 200]}"), 3, "must be less than or equal to 100, got 200"),
    (space("depth: {int: [1.5, 2]}"), 3, "space.depth.int.0: must be a whole number, got 1.5"),
    (space("depth: {int: [1, 3], step: 0}"), 3, "space.depth.step: must be greater than or equal to 1"),
    (space("depth: {int: [1, 3], step: 9}"), 3, "step must fit between low and high"),
    (space("batch_size: {int: [1, 99999999999999999999]}"), 3, "must be less than or equal to 9007199254740992"),
    (space("batch_size: 1000000001"), 3, "must be less than or equal to 1000000000, got 1000000001"),
    (space("batch_size: {int: [1, 1000000001]}"), 3, "must be less than or equal to 1000000000, got 1000000001"),
    (space("widths: [" + "8, " * 100 + "8]"), 3, "space.widths: must have at most 100 items, got 101"),
    (space("model: {cnn: {channels: [" + "8, " * 100 + "8]}}"), 3, "channels: must have at most 100 items, got 101"),
    (space("batch_size: {log_int: [0, 8]}"), 3, "low must be above 0 on a log scale"),
    (space(f"batch_size: {10**400}"), 3, "at most 100 digits, got 401"),
    (space("depth: -1"), 3, "must be greater than or equal to 0, got -1"),
    (space("batch_size: 1.5"), 3, "must be a whole number, got 1.5"),
    (space("batch_norm: yes"), 3, "must be true or false, got 'yes'"),
    (space("dropout: 1"), 3, "must be less than 1, got 1"),
    (space("activation: rellu"), 3, "unknown name 'rellu' (did you mean 'relu'?)"),
    (space("activation:", "  choice:", "    - relu", "    - tnah"), 6, "choice.1: unknown name 'tnah' (did you mean"),
    (space("activation: 3"), 3, "must be a name, got 3 (known: identity, relu"),
    (space("loss: {grid: [mse, mee]}"), 3, "space.loss.grid.1: unknown name 'mee' (known: cross_entropy, nll"),
    (space("lr: {choice: []}"), 3, "space.lr.choice: must not be empty"),
    (space("lr: {choice: 3}"), 3, "space.lr.choice: must be a list, got 3"),
    (space("lr: {choice: {}}"), 3, "space.lr.choice: a choice needs at least one option"),
    (space("lr: {choice: [null]}"), 3, "space.lr.choice.0: must be a value, got null"),
    (space("lr: {choice: [0.1, 0.1]}"), 3, "0.1 is listed twice"),
    (space("lr: {choice: [0.1, [0.2]]}"), 3, "space.lr.choice.1: must be a number, got [0.2]"),
    (space("lr: {choice: [" + ", ".join(f"{i}.5" for i in range(10_001)) + "]}"), 3, "at most 10000 items, got 10001"),
    (space("lr: {choice: [0.1], step: 1}"), 3, "space.lr.step: unknown name 'step'"),
    (space("optimizer: {choice: [sgd, {adam: {}}]}"), 3, "options that own parameters are written {choice: {NAME"),
    (space("optimizer: sgdd"), 3, "unknown optimizer 'sgdd' (did you mean 'sgd'?)"),
    (space("optimizer: {sgdd: {}}"), 3, "got sgdd (did you mean 'sgd'?)"),
    (space("optimizer: {sgd: {}, adam: {}}"), 3, "options stand inside choice, as {choice: {sgd: ..., adam: ...}}"),
    (
        space("optimizer:", "  choice:", "    sgd: {}", "    adm: {}"),
        6,
        "optimizer.choice.adm: unknown optimizer 'adm'",
    ),
    (space("optimizer:", "  choice:", "    sgd:", "      momentun: 0.9"), 6, "did you mean 'momentum'?"),
    (space("optimizer:", "  choice:", "    adam:", "      momentum: 0.9"), 6, "unknown parameter 'momentum'"),
    (space("optimizer:", "  choice:", "    sgd:", "      momentum: 1.5"), 6, "momentum: must be less than 1, got 1.5"),
    (space("optimizer: {choice: {sgd: {name: sgd}}}"), 3, "unknown parameter 'name'"),
    (space("optimizer: {choice: {sgd: 3}}"), 3, "optimizer.choice.sgd: must be a mapping of parameters, got 3"),
    (space("optimizer: {choice: {sgd: {}}, step: 1}"), 3, "unknown name 'step' beside choice"),
    (space("optimizer: 3"), 3, "unknown optimizer 3"),
    (space("lr: {choice: {0.1: {}}}"), 3, "a key must be a word or a whole number, got 0.1"),
    (
        space("optimizer:", "  choice:", "    sgd: {nesterov: true}"),
        5,
        "nesterov needs momentum above 0 and dampening 0",
    ),
    (space("lr: 0.1", "optimizer:", "  choice: {sgd: {lr: 0.2}}"), 5, "'lr' is set twice in one trial"),
    (space("depth: 2", "widths: [3]"), 4, "it can't go with depth"),
    (space("widths: [3]", "width: {choice: [8, 16]}"), 4, "it can't go with width"),
    (space("widths: [0]"), 3, "space.widths.0: must be greater than or equal to 1"),
    (space("widths: [[3]]"), 3, "must be a value, a list of values or a domain, got [[3]]"),
    (space("widths: 3"), 3, "space.widths: must be a list, got 3"),
    (space("widths: [8, {choice: [0]}]"), 3, "space.widths.1.choice.0: must be greater than or equal to 1, got 0"),
    (space("widths: {list: 3}"), 3, "a list needs its length"),
    (space("widths: {list: 3, lenght: 2}"), 3, "unknown name 'lenght' (did you mean 'length'?)"),
    (space("widths: {list: 3, length: 1000}"), 3, "a length must be a whole number from 0 to 100, got 1000"),
    (space("widths: {list: 3, length: {int: [-1, 2]}}"), 3, "a length must be a whole number from 0 to 100, got -1"),
    (space("widths: {list: 3, length: {uniform: [1, 2]}}"), 3, "a length must be a whole number"),
    (space("widths: {list: {log: [1, 2]}, length: 2}"), 3, "space.widths.list: must be a whole number, got 1.0"),
    (space("lr: {list: 0.1, length: 2}"), 3, "space.lr.list: must be a number"),
    ("data: {name: digits}\nspace: 3\n", 2, "space: must be a mapping, got 3"),
    ("data: {name: digits}\nspace:\n", 2, "space: must be a mapping, got null"),
    ("data: {name: digits}\nspace: [lr]\n", 2, "space: must be a mapping, got ['lr']"),
    ("# a study\ndata: {name: digits}\n", 2, "'space' is missing"),
]

BAD_SETTINGS: list[tuple[str, int | None, str]] = [
    (setting("trails: 3"), 3, "trails: unknown name 'trails' (did you mean 'trials'?)"),
    (setting("lr: 0.1"), 3, "'lr' is a parameter: it belongs under space"),
    (setting("trials: 0"), 3, "trials: must be greater than or equal to 1, got 0"),
    (setting("trials: 1000001"), 3, "trials: must be less than or equal to 1000000, got 1000001"),
    (setting("trials: 1000000000000000000000"), 3, "trials: must be less than or equal to 1000000, got 10000"),
    (setting("epochs: 1000000"), 3, "epochs: must be less than or equal to 999999, got 1000000"),
    (setting("patience: 1000000"), 3, "patience: must be less than or equal to 999999"),
    (setting("concurrent: 1000001"), 3, "concurrent: must be less than or equal to 1000000"),
    (setting("time_budget: 3651d"), 3, "time_budget: must be less than or equal to 315360000, got '3651d'"),
    (setting("time_budget: 1e300"), 3, "time_budget: must be less than or equal to 315360000, got 1e+300"),
    (setting("scheduler: {asha: {grace_period: 1000000}}"), 3, "must be less than or equal to 999999"),
    (setting("scheduler: {median: {min_samples: 1000001}}"), 3, "must be less than or equal to 1000000"),
    (setting("scheduler: {pbt: {interval: 1000000}}"), 3, "must be less than or equal to 999999"),
    (setting("search: {tpe: {startup: 1000001}}"), 3, "must be less than or equal to 1000000"),
    (setting("trials: 1.5"), 3, "must be a whole number, got 1.5"),
    (setting("trials: three"), 3, "must be a whole number, got 'three'"),
    (setting("trials: [3]"), 3, "must be a whole number, got [3]"),
    (setting("epochs: true"), 3, "epochs: must be a whole number, got true"),
    (setting("epochs: null"), 3, "must be a whole number, got null"),
    (setting("seed: -1"), 3, "seed: must be greater than or equal to 0"),
    (setting("seed: 9223372036854775808"), 3, "seed: must be less than 9223372036854775808"),
    (setting("seed: 1.0"), 3, "seed: must be a whole number, got 1.0"),
    (setting("name: a b"), 3, "name: must be 1 to 48 letters"),
    (setting("name: ../../etc"), 3, "name: must be 1 to 48 letters"),
    (setting('name: "a\\n"'), 3, "name: must be 1 to 48 letters"),
    (setting("name: 3"), 3, "name: must be text, got 3"),
    (setting("description: [a]"), 3, "description: must be text, got ['a']"),
    (setting("metric: accuracy"), 3, "unknown name 'accuracy' (did you mean 'val_accuracy'?)"),
    (setting("metric: 3"), 3, "metric: must be a name, got 3"),
    (setting("mode: maximum"), 3, "mode: unknown name 'maximum' (did you mean 'max'?)"),
    (setting("engine: eagre"), 3, "engine: unknown name 'eagre' (did you mean 'eager'?)"),
    (setting("patience: 0"), 3, "patience: must be greater than or equal to 1"),
    (setting("concurrent: 0"), 3, "concurrent: must be greater than or equal to 1"),
    (setting("scheduler: ashaa"), 3, "unknown name 'ashaa' (did you mean 'asha'?)"),
    (
        setting("scheduler:", "  asha: {}", "  fifo: {}"),
        3,
        "name one of asha, promotion_asha, pasha, top_k, hyperband, median, pbt, fifo, auto, got asha and",
    ),
    (
        setting("scheduler: {}"),
        3,
        "name one of asha, promotion_asha, pasha, top_k, hyperband, median, pbt, fifo, auto, got none",
    ),
    (setting("scheduler: 3"), 3, "scheduler: must be a name, or a name with its settings, got 3"),
    (setting("scheduler: null"), 3, "scheduler: must be a name, or a name with its settings, got null"),
    (setting("scheduler: {asha: 3}"), 3, "scheduler.asha: must be a mapping, got 3"),
    (setting("scheduler:", "  asha:", "    grace_period: 0"), 5, "scheduler.asha.grace_period: must be greater than"),
    (setting("scheduler:", "  asha:", "    grace_perod: 1"), 5, "did you mean 'grace_period'?"),
    (setting("scheduler: {asha: {reduction_factor: 1}}"), 3, "reduction_factor: must be greater than 1"),
    (setting("scheduler: {median: {min_samples: 0}}"), 3, "scheduler.median.min_samples: must be greater than"),
    (setting("scheduler: {pbt: {quantile: 0.9}}"), 3, "scheduler.pbt.quantile: must be less than or equal to 0.5"),
    (setting("scheduler: pbt"), 2, "space: pbt changes settings while they train; let one of lr"),
    (setting("search: gird"), 3, "search.gird: unknown name 'gird' (did you mean 'grid'?)"),
    (setting("search: {tpe: {startup: 0}}"), 3, "search.tpe.startup: must be greater than or equal to 1"),
    (space("lr: {log: [0.1, 1]}") + "search: grid\n", 3, "space.lr: a grid search needs values that it can count"),
    (
        space("optimizer:", "  choice:", "    sgd:", "      momentum: {uniform: [0, 0.9]}") + "search: grid\n",
        6,
        "space.optimizer.choice.sgd.momentum: a grid search needs values",
    ),
    (
        space("width: {int: [1, 1000]}", "batch_size: {int: [1, 1000]}") + "search: grid\n",
        5,
        "the grid has more than 100000 combinations; say how many trials to run",
    ),
    (setting("time_budget: soon"), 3, "time_budget: must be a time like 90s, 10m or 1h30m"),
    (setting("time_budget: 10 m"), 3, "must be a time like"),
    (setting("time_budget: 0s"), 3, "time_budget: must be greater than 0"),
    (setting("time_budget: -3"), 3, "time_budget: must be greater than 0"),
    (setting("time_budget: .inf"), 3, "time_budget: must be a finite number"),
    (setting("resources: 3"), 3, "resources: must be a mapping, got 3"),
    (setting("resources:", "  gpu: 1.5"), 4, "resources.gpu: must be a fraction below 1 or a whole number, got 1.5"),
    (setting("resources: {gpu: -1}"), 3, "resources.gpu: must be greater than or equal to 0"),
    (setting("resources: {cpu: 0}"), 3, "resources.cpu: must be greater than 0"),
    (setting("resources: {cpu: .nan}"), 3, "resources.cpu: must be a finite number, got nan"),
    (setting("resources: {cpus: 1}"), 3, "unknown name 'cpus' (did you mean 'cpu'?)"),
]

BAD_DATA: list[tuple[str, int | None, str]] = [
    ("space: {}\n", 1, "'data' is missing"),
    ("space: {}\ndata: digits\n", 2, "data: must be a mapping, got 'digits'"),
    (data("normalize: unit"), 2, "data: 'name' is missing"),
    (data("nmae: digits"), 3, "data.nmae: unknown name 'nmae' (did you mean 'name'?)"),
    (data("name: ''"), 3, "data.name: must not be empty"),
    (data("name: 3"), 3, "data.name: must be text, got 3"),
    (data("name: digits", "normalize: standrad"), 4, "unknown name 'standrad' (did you mean 'standard'?)"),
    (data("name: digits", "validation: 2"), 4, "data.validation: must be less than 1, got 2"),
    (data("name: digits", "validation: 0"), 4, "data.validation: must be greater than 0"),
    (data("name: digits", "validation: many"), 4, "data.validation: must be a number, got 'many'"),
    (data("name: digits", "samples: 1000000001"), 4, "data.samples: must be less than or equal to 1000000000"),
    (data("name: digits", "validation: {head: 1000000001}"), 4, "must be less than or equal to 1000000000"),
    (data("name: digits", "validation: {folds: 101}"), 4, "must be less than or equal to 100, got 101"),
    (data("name: digits", "validation:", "  head: 0"), 5, "data.validation.head: must be greater than or equal to 1"),
    (data("name: digits", "validation:", "  folds: 1"), 5, "data.validation.folds: must be greater than or equal to 2"),
    (data("name: digits", "validation:", "  fold: 3"), 5, "unknown name 'fold' (did you mean 'folds'?)"),
    (data("name: digits", "validation: {folds: 3, head: 3}"), 4, "data.validation.head: unknown name 'head'"),
    (data("name: digits", "validation: {}"), 4, "data.validation: 'head' is missing"),
    (data("name: digits", "test: {folds: 3}"), 4, "data.test.folds: unknown name 'folds' (known: head)"),
    (data("name: digits", "test: 1"), 4, "data.test: must be less than 1"),
    (data("name: digits", "stratify: maybe"), 4, "data.stratify: must be true or false, got 'maybe'"),
    (data("name: digits", "task: regresion"), 4, "unknown name 'regresion' (did you mean 'regression'?)"),
    (data("name: digits", "missing: ignore"), 4, "data.missing: unknown name 'ignore'"),
    (data("name: digits", "target: [a]"), 4, "data.target: must be text, got ['a']"),
]

BAD = [*NOT_YAML, *BAD_SPACE, *BAD_SETTINGS, *BAD_DATA]


def refused(path: Path | str) -> str:
    with pytest.raises(StudyError) as caught:
        Study.load(path)
    text = str(caught.value)
    assert text.splitlines() == [text]
    assert "Traceback" not in text
    assert len(text) < 500
    return text


@pytest.mark.parametrize(("text", "line", "words"), BAD, ids=[f"{i}" for i in range(len(BAD))])
def test_a_bad_file_is_refused_in_one_line(text: str | bytes, line: int | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = refused(path)
    assert said.startswith(f"{path}: " if line is None else f"bad.yaml:{line}")
    assert line is None or not said.removeprefix(f"bad.yaml:{line}")[0].isdigit()
    assert words in said
    assert [child.name for child in tmp_path.iterdir()] == ["bad.yaml"]


def test_there_are_enough_of_them_and_no_two_are_alike() -> None:
    assert len(BAD) >= 60
    assert len({text for text, _, _ in BAD}) == len(BAD)


@pytest.mark.timeout(30)
def test_a_path_that_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, words in [
        ("folder.yaml", "Is a directory"),
        ("absent.yaml", "No such file"),
        ("absent/a.yaml", "No such file"),
        ("loop.yaml", "symbolic links"),
        ("long" * 64 + ".yaml", "too long"),
        ("a\0b.yaml", "null byte"),
        ("pipe.yaml", "a pipe, where a regular file is needed"),
        ("zero.yaml", "a device, where a regular file is needed"),
        ("a\nb.yaml", "No such file"),
    ]:
        said = refused(tmp_path / name)
        assert "can't read the study file" in said
        assert words in said
    assert "can't read the study file" in refused("~nobody-of-this-name/a.yaml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.yaml"
    path.write_text(space("lr: 0.1"))
    path.chmod(0)
    assert "Permission denied" in refused(path)


def test_a_table_whose_name_is_too_long_for_a_file_is_left_to_the_data(tmp_path: Path) -> None:
    path = tmp_path / "long.yaml"
    path.write_text(data(f"name: 'csv:{'x' * 5000}.csv'"))
    assert Study.load(path).data.name.endswith("x.csv")


WORDS = [
    *Study.model_fields,
    *DOMAINS,
    *("lr", "batch_size", "depth", "width", "widths", "activation", "loss", "optimizer", "init", "batch_norm"),
    *("sgd", "adam", "momentum", "relu", "mse", "asha", "pbt", "tpe", "step", "list", "length", "low", "high", "round"),
    *("name", "validation", "test", "folds", "head", "digits", "csv:x", "cpu", "gpu", "grace_period", "xavier", "gain"),
]
SCALARS: st.SearchStrategy[Any] = (
    st.sampled_from(WORDS)
    | st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([10**99, -(2**64), 1e308, 5e-324, 0.1])
)
KEYS = st.sampled_from(WORDS) | st.text(max_size=3) | st.integers(-1, 3)
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))
SHIPPED = [path.read_text(encoding="utf-8") for path in shipped().values()]


def check_line(error: TuneMlpError, source: str) -> None:
    assert str(error).splitlines() == [str(error)]
    assert str(error).lstrip("'\"").startswith(source)


def load(text: bytes | str, folder: Path) -> None:
    """Loads, or is refused in one line; any other exception is the test's."""
    path = folder / "random.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    try:
        study = Study.load(path)
    except TuneMlpError as error:
        check_line(error, "random.yaml")
    else:
        path.write_text(study.dump(), encoding="utf-8")
        assert Study.load(path).dump() == study.dump()


def dumped(tree: Any) -> str:
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def spots(tree: Any) -> list[tuple[Any, Any]]:
    """Yield each container in the tree with each of its keys."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [found for key, child in pairs for found in [(tree, key), *spots(child)]]


quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(TREES)
def test_a_random_tree_never_ends_in_a_traceback(tmp_path: Path, tree: Any) -> None:
    load(dumped(tree), tmp_path)


@quick
@given(st.dictionaries(st.sampled_from(WORDS), TREES, max_size=4), st.dictionaries(KEYS, TREES, max_size=3))
def test_a_random_space_never_ends_in_a_traceback(
    tmp_path: Path, parameters: dict[Any, Any], extra: dict[Any, Any]
) -> None:
    load(dumped({"data": {"name": "digits"}, "space": parameters, **extra}), tmp_path)


@quick
@given(st.sampled_from(SHIPPED), st.data())
def test_a_changed_shipped_file_never_ends_in_a_traceback(tmp_path: Path, text: str, draw: st.DataObject) -> None:
    tree = yaml.safe_load(text)
    for _ in range(draw.draw(st.integers(1, 3))):
        where = spots(tree)
        if not where:
            break
        node, key = draw.draw(st.sampled_from(where))
        change = draw.draw(st.sampled_from(["replace", "delete", "insert"]))
        if change == "delete":
            del node[key]
        elif change == "replace":
            node[key] = draw.draw(TREES)
        elif isinstance(node, list):
            node.insert(key, draw.draw(TREES))
        else:
            node[draw.draw(KEYS)] = draw.draw(TREES)
    load(dumped(tree), tmp_path)


@quick
@given(st.sampled_from(SHIPPED), st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3), st.integers(0, 3))))
def test_a_shipped_file_with_damaged_bytes_never_ends_in_a_traceback(
    tmp_path: Path, text: str, edits: list[tuple[float, bytes, int]]
) -> None:
    damaged = text.encode()
    for share, bytes_, cut in edits:
        at = int(share * len(damaged))
        damaged = damaged[:at] + bytes_ + damaged[at + cut :]
    load(damaged, tmp_path)


@quick
@given(st.sampled_from(["lr", "data.name", "space", "scheduler", "optimizer.sgd", "", "a.b", "depth.²"]), st.text())
def test_a_random_set_never_ends_in_a_traceback(path: str, value: str) -> None:
    try:
        Study.load("digits_quick", [f"{path}={value}"])
    except TuneMlpError as error:
        check_line(error, "--set")
