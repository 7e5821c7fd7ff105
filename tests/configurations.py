"""Random command lines for train.py: valid ones, sampled from the yaml files of all groups, and broken ones."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import yaml

from partae.activation import ACTIVATIONS
from tests.command_line import ROOT

CONF = ROOT / "conf"
Random = random.Random
Overrides = dict[str, str]

AUTOENCODERS = ("autoencoder", "nnsae", "asymmetric")  # the others take no encoder, penalty or constraint
INSIDE = [name for name, (_, (low, high)) in ACTIVATIONS.items() if (low, high) == (0.0, 1.0)]


def decades(low: int, high: int) -> Callable[[Random], str]:
    """A number whose logarithm is uniform."""
    return lambda draw: f"{10 ** draw.uniform(low, high):.6g}"


def uniform(low: float, high: float) -> Callable[[Random], str]:
    return lambda draw: f"{draw.uniform(low, high):.6g}"


def among(*values: object) -> Callable[[Random], str]:
    return lambda draw: str(draw.choice(values))


# key -> a valid value; keys that the yaml files have and this table has not keep their values
VALID: dict[str, Callable[[Random], str]] = {
    "sparsity.beta": decades(-5, 0),
    "sparsity.p": uniform(0.001, 0.999),
    "sparsity.epsilon": decades(-6, 0),
    "sparsity.target": among(0, 0.3, 0.65, 1),
    "sparsity.rate": decades(-5, -1),
    "decay.lambda_": decades(-6, 0),
    "decay.alpha": among(0, 0.2, 1, 3),
    "decay.kappa": decades(-6, 1),
    "constraint.hoyer.sparseness": among(0, 0.3, 0.6, 1),
    "encoder.activation": among(*ACTIVATIONS),
    "encoder.hidden": among("[]", "[]", "[1]", "[7,5]"),
    "encoder.tied": among("false", "false", "true"),
    "corruption.std": among(0, 0.3),
    "corruption.share": among(0, 0.5),
    "decoder.activation": among(*ACTIVATIONS),
    "decoder.biased": among("true", "false"),
    "decoder.initial_bias": among(0, -3),
    "optimizer.lr": decades(-4, -1),
    "optimizer.betas": among("[0.5,0.999]", "[0.0,0.9]"),
    "optimizer.rho": among(0, 0.9, 0.95),
    "schedule.warmup": among(0, 0.05, 0.5, 0.99),
    "callbacks.gallery.every_n_epochs": among(1, 2, 100),
    "callbacks.pruning.target": among("atoms", "code"),
    "callbacks.pruning.begin": among(0, 1),
    "callbacks.pruning.end": among(2, 30),
    "callbacks.pruning.share": among(0, 0.5, 0.99, 1),
    "data.source.probability": among("null", 0.01, 0.3, 0.99),
    "data.source.test_size": among(1, 2, 60),
    "data.batch_size": among(1, 2, 7, 128, 10**6),
    "data.eval_batch_size": among(1, 13, 1000),
    "data.val_size": among(0, 1, 20),
    "data.seed": among(0, 1, 2**32 - 1),
    "data.source.seed": among(0, 1, 2**31),
}
TOP: dict[str, Callable[[Random], str]] = {
    "seed": among(0, 1, 42, 2**32 - 1),
    "latent_dim": among(1, 2, 3, 16, 50),
    "name": among("default", "a-b", "'with a space'"),
    "metric": among("val/reconstruction_error", "val/loss", "test/hoyer_sparsity"),
    "svm": among("none", "none", "quick"),
}
SHORT = {  # two batches
    "trainer.max_epochs": "1",
    "trainer.accelerator": "cpu",
    "+trainer.limit_train_batches": "2",
}

NOT_A_NUMBER = ("abc", "null", "[1]", "{a:1}", "nan", "true", "''", "'0.1'")
NOT_A_SEED = ("-1", "0.5", "abc", "null", "[1]", "{a:1}", "nan", "true", str(2**32), "9" * 40)
NOT_WHOLE = ("0.5", "-1", "abc", "null", "[1]", "{a:1}", "nan", "inf", "true", "''")
OUT_OF_RANGE: dict[str, tuple[str, ...]] = {
    "sparsity.beta": ("-1", "inf", "-1e-9", *NOT_A_NUMBER),
    "sparsity.p": ("inf", "-inf", *NOT_A_NUMBER),
    "sparsity.epsilon": ("0", "-0.1", "inf", *NOT_A_NUMBER),
    "sparsity.target": ("-0.1", "1.1", *NOT_A_NUMBER),
    "sparsity.rate": ("0", "-1", "inf", *NOT_A_NUMBER),
    "decay.lambda_": ("-1", "inf", *NOT_A_NUMBER),
    "decay.alpha": ("-1", "inf", *NOT_A_NUMBER),
    "decay.kappa": ("0", "-1", *NOT_A_NUMBER),
    "constraint.hoyer.sparseness": ("-0.1", "2", *NOT_A_NUMBER),
    "encoder.activation": ("swish", "null", "3", "[]", "{a:1}", "''"),
    "encoder.hidden": ("512", "[0]", "[-3]", "[a]", "[1.5]", "null", "abc", "{a:1}", "[[1]]"),
    "encoder.tied": ("no", "1", "null", "[]", "maybe"),
    "corruption.std": ("-1", "inf", *NOT_A_NUMBER),
    "corruption.share": ("-1", "1", *NOT_A_NUMBER),
    "decoder.activation": ("swish", "null", "3", "[]", "{a:1}"),
    "decoder.biased": ("no", "0", "null", "maybe"),
    "decoder.initial_bias": ("inf", *NOT_A_NUMBER),
    "optimizer.lr": ("-1", "abc", "null", "[1]", "{a:1}"),
    "optimizer.betas": ("[2,0.9]", "[0.5]", "3", "abc", "null", "[a,b]"),
    "optimizer.rho": ("2", "-1", "abc", "null"),
    "schedule.warmup": ("1", "-0.1", "2", *NOT_A_NUMBER),
    "callbacks.gallery.every_n_epochs": ("0", *NOT_WHOLE),
    "callbacks.pruning.target": ("bias", "null", "[]", "3"),
    "callbacks.pruning.begin": NOT_WHOLE,
    "callbacks.pruning.end": ("0", *NOT_WHOLE),
    "callbacks.pruning.share": ("-0.1", "1.1", *NOT_A_NUMBER),
    "data.source.size": ("0", "1", *NOT_WHOLE),
    "data.source.probability": ("0", "1", "2", "-0.1", "abc", "[1]", "nan", "true"),
    "data.source.train_size": ("0", *NOT_WHOLE),
    "data.source.test_size": ("0", *NOT_WHOLE),
    "data.source.seed": NOT_A_SEED,
    "data.batch_size": ("0", *NOT_WHOLE),
    "data.eval_batch_size": ("0", *NOT_WHOLE),
    "data.val_size": ("100000", "1.5", *(value for value in NOT_WHOLE if value != "0.5")),  # which is a share
    "data.image_shape": ("[1,3,3]", "[1,28]", "[]", "28", "null", "abc", "[1,-3,3]", "[1,a,3]"),
    "data.seed": NOT_A_SEED,
    "seed": NOT_A_SEED,
    "latent_dim": ("0", *NOT_WHOLE),
    "metric": ("val/beauty", "null", "3", "[]"),
    "svm": ("slow", "null", "true", "[]", "3"),
    "trainer.max_epochs": ("abc", "[1]", "1.5", "-7", "{a:1}"),
    "trainer.accelerator": ("abacus", "3", "[]"),
    "trainer.devices": ("0", "-3", "abc", "{a:1}"),
    "+trainer.precision": ("7", "abc", "[]"),
    "+trainer.limit_val_batches": ("-1", "1.5"),
}


def yamls(group: str) -> dict[str, dict[str, Any]]:
    """The choices of a group, by name."""
    return {file.stem: yaml.safe_load(file.read_text()) for file in sorted((CONF / group).glob("*.yaml"))}


def keys(group: str, choice: dict[str, Any]) -> Iterator[str]:
    """The keys of a choice as the command line has them."""
    for key, value in (choice or {}).items():
        if isinstance(value, dict) and key not in ("defaults", "hydra"):
            yield from keys(f"{group}.{key}" if key != group else group, value)
        elif not key.startswith("_") and key != "defaults":
            yield f"{group}.{key}"


class Configuration(NamedTuple):
    """A command line: group choices first, values after."""

    groups: Overrides
    values: Overrides

    def arguments(self) -> list[str]:
        return [f"{key}={value}" for key, value in (self.groups | self.values).items()]


def valid(draw: Random) -> Configuration:
    """A configuration that must train."""
    groups: Overrides = {}
    values: Overrides = {key: pick(draw) for key, pick in TOP.items()}
    chosen: dict[str, dict[str, Any]] = {}
    for group in sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "hydra"):
        choices = yamls(group)
        if group == "model":  # this one needs an estimator
            del choices["factorization"]
        if group == "data":  # the two that need no file
            choices = {name: choices[name] for name in ("bars", "swimmer")}
        if group == "experiment":
            if draw.random() < 0.2:
                groups[group] = draw.choice(list(choices))
            continue
        if group == "constraint":
            several = draw.sample([name for name in choices if name != "none"], draw.randint(0, 2))
            groups[group] = f"[{','.join(several)}]" if several else "none"
            chosen[group] = {key: value for name in several for key, value in choices[name].items()}
            for name in several:
                VALID.setdefault(f"constraint.{name}.bias", among("true", "false"))
            continue
        groups[group] = draw.choice(list(choices))
        chosen[group] = choices[groups[group]]
    for group, choice in chosen.items():
        for key in keys(group, choice):
            if key in VALID and draw.random() < 0.7:
                values[key] = VALID[key](draw)
    if "experiment" in groups:  # it has its own choices
        for group in set(groups) - {"experiment", "data"}:
            del groups[group]
        values = {key: value for key, value in values.items() if key.split(".")[0] in {"data", *TOP}}
    model = groups.get("model", "autoencoder")
    if model not in AUTOENCODERS:  # it says itself what it is made of
        for group in set(groups) - {"data", "model", "logger"}:
            del groups[group]
        values = {key: value for key, value in values.items() if key.split(".")[0] in {"data", *TOP}}
        values["latent_dim"] = "2"  # no more than pixels
        values["metric"] = "val/reconstruction_error"
    if groups["data"] == "bars":
        size = draw.choice((2, 5, 8))
        values |= {"data.source.size": str(size), "data.image_shape": f"[1,{size},{size}]"}
        values["data.source.train_size"] = str(draw.choice((40, 200)))
        values.setdefault("data.val_size", "10")
    return Configuration(groups, _fitting(groups, values, draw) | SHORT)


def _fitting(groups: Overrides, values: Overrides, draw: Random) -> Overrides:
    """The values, mended where they do not fit each other."""
    if values["svm"] == "quick" and values.get("data.source.probability") in ("0.01", "0.99"):
        values["svm"] = "none"  # all images may be of one class
    if values.get("data.val_size") == "0" and values["metric"].startswith("val/"):
        values["metric"] = "test/hoyer_sparsity"
    convolves = "asymmetric" in groups.get("experiment", "") or groups.get("model") == "asymmetric"
    if (convolves or groups.get("encoder") == "conv") and groups["data"] == "bars":  # the least that its layers take
        values |= {"data.source.size": "8", "data.image_shape": "[1,8,8]"}
    if "experiment" in groups or groups["model"] not in AUTOENCODERS:
        return values
    if groups["model"] == "asymmetric":
        groups["encoder"] = "conv"
    elif groups["model"] == "nnsae" or groups["sparsity"] == "intrinsic_plasticity":
        groups["encoder"] = "dense"
    if "intrinsic_plasticity" in groups["sparsity"] or groups["model"] == "nnsae":
        values |= {"encoder.activation": "logistic"}
    elif groups["sparsity"] == "kl":
        values["encoder.activation"] = draw.choice(INSIDE)
    if groups["reconstruction"] == "bce":
        values["decoder.activation"] = draw.choice(INSIDE)
    if values.get("encoder.tied") == "true" or groups["model"] == "nnsae":
        values["encoder.hidden"] = "[]"
    if int(values.get("callbacks.pruning.end", 30)) < int(values.get("callbacks.pruning.begin", 15)):
        values |= {"callbacks.pruning.begin": "0"}
    if groups["encoder"] != "dense":  # it has its own layers, and weights of its own
        values.pop("encoder.hidden", None)
        values.pop("encoder.tied", None)
    if groups["callbacks"] == "revival" and (values.get("encoder.tied") == "true" or groups["model"] == "nnsae"):
        groups["callbacks"] = "default"
    return values


class Broken(NamedTuple):
    """A command line with one thing broken, and a word that its message must have."""

    arguments: list[str]
    word: str


def invalid(draw: Random) -> Broken:
    """A configuration that must be refused."""
    configuration = valid(draw)
    groups, values = configuration
    arguments = configuration.arguments()
    way = draw.choice([_out_of_range] * 6 + [_unknown_key, _unknown_choice, _no_part, _misfit, _syntax, _reference])
    return way(draw, groups, values, arguments)


def _out_of_range(draw: Random, groups: Overrides, values: Overrides, arguments: list[str]) -> Broken:
    there = set(TOP) | {"trainer.max_epochs", "trainer.accelerator", "trainer.devices"} | set(values)
    there |= {"+trainer.precision", "+trainer.limit_val_batches", "data.image_shape"}
    key = draw.choice(sorted(there & OUT_OF_RANGE.keys()))
    value = draw.choice(OUT_OF_RANGE[key])
    return Broken([*(item for item in arguments if not item.startswith(f"{key}=")), f"{key}={value}"], _word(key))


def _word(key: str) -> str:
    return key.lstrip("+").rpartition(".")[2]


def _unknown_key(draw: Random, groups: Overrides, values: Overrides, arguments: list[str]) -> Broken:
    group = draw.choice(["sparsity", "decay", "encoder", "data", "trainer", "optimizer", "model", "data.source"])
    # a key added to a part that the model does not use is nobody's argument
    used = "experiment" in groups or groups["model"] in AUTOENCODERS or group in ("data", "trainer", "data.source")
    prefix = draw.choice(["", "+"]) if used else ""
    return Broken([*arguments, f"{prefix}{group}.betta=1"], "betta")


def _unknown_choice(draw: Random, groups: Overrides, values: Overrides, arguments: list[str]) -> Broken:
    group = draw.choice(sorted(groups))
    return Broken([*(item for item in arguments if not item.startswith(f"{group}=")), f"{group}=kll"], "kll")


def _no_part(draw: Random, groups: Overrides, values: Overrides, arguments: list[str]) -> Broken:
    group = draw.choice(
        ["sparsity", "decay", "encoder", "decoder", "data", "optimizer", "model", "trainer", "schedule"]
    )
    value = draw.choice(["null", "3", "[]", "{}"])
    return Broken([f"{group}={value}" if value == "null" else f"{group}._target_={value}"], group)


def _misfit(draw: Random, groups: Overrides, values: Overrides, arguments: list[str]) -> Broken:
    overrides, word = draw.choice(
        [
            (["sparsity=kl", "encoder.activation=relu"], "encoder.activation"),
            (["reconstruction=bce", "decoder.activation=identity"], "decoder.activation"),
            (["encoder.tied=true", "encoder.hidden=[3]"], "encoder.hidden"),
            (["sparsity=intrinsic_plasticity", "encoder.activation=sigmoid"], "encoder.activation"),
            (["sparsity._target_=partae.sparsity.Nothing"], "partae.sparsity.Nothing"),
            (["sparsity._target_=nowhere.KL"], "nowhere"),
            (["decoder._target_=partae.decay.L2"], "decoder"),
            (["data.source._target_=partae.sparsity.NoSparsity"], "NoSparsity"),
            (["callbacks=dense_sparse_dense", "callbacks.pruning.threshold=0.1"], "threshold"),
            (["data=fashion_mnist", "data.source.root=nowhere", "data.source.download=maybe"], "download"),
            (["data=bars", "data.val_size=2000"], "val_size"),
            (["data=bars", "latent_dim=999999999999999"], "memory"),
            (["data=bars", "latent_dim=9999999999999999999999"], "Dense"),
            (["data=bars", "data.source.probability=0.000001", "svm=quick"], "svm=quick"),
            (["hydra.run.dir=/dev/null/run"], "/dev/null"),
        ]
    )
    return Broken([*overrides, *(f"{key}={value}" for key, value in SHORT.items())], word)


def _syntax(draw: Random, groups: Overrides, values: Overrides, arguments: list[str]) -> Broken:
    broken = ["sparsity.beta", "=3", "sparsity.beta=[1,2", "sparsity.beta={a", "sparsity.beta='1", "~nowhere"]
    text = draw.choice(broken)
    return Broken([*arguments, text], text.partition("=")[2] or text.lstrip("~"))


def _reference(draw: Random, groups: Overrides, values: Overrides, arguments: list[str]) -> Broken:
    key = draw.choice(["latent_dim", "seed", "data.batch_size", "trainer.max_epochs"])
    value, word = draw.choice([("${nowhere}", "nowhere"), ("${oc.nothing:1}", "oc.nothing"), ("???", _word(key))])
    return Broken([*(item for item in arguments if not item.startswith(f"{key}=")), f"{key}={value}"], word)
