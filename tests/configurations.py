"""Random command lines for train.py, drawn by hypothesis: some must train, the others have one thing wrong."""

from __future__ import annotations

from hydra import compose, initialize
from hypothesis import strategies as st
from omegaconf import OmegaConf

from tests.command_line import ROOT

NUMBER = "abc null [1] {a:1} nan true '' '0.1'"  # what is wrong for any number
WHOLE = "0.5 -1 abc null [1] {a:1} nan inf true ''"
SEED = f"-1 0.5 abc null [1] {{a:1}} nan true {2**32} {'9' * 40}"
ACTIVATION = "sigmoid logistic identity relu normalised_relu leaky_relu softplus tanh"

# key -> its valid values (none: the value stays as it is), and values that must be refused
KEYS: dict[str, tuple[str, str]] = {
    "seed": (f"0 42 {2**32 - 1}", SEED),
    "latent_dim": ("1 2 3 16 50", f"0 {WHOLE}"),
    "name": ("default a-b 'with_a_quote'", ""),
    "metric": ("val/reconstruction_error test/hoyer_sparsity", "val/beauty null 3 []"),
    "comparison": ("true false false", "1 null quick []"),
    "svm": ("none none quick", "slow null true [] 3"),
    "sparsity.beta": ("1e-5 0.003 1", f"-1 inf -1e-9 {NUMBER}"),
    "sparsity.p": ("0.001 0.3 0.999", f"inf -inf {NUMBER}"),
    "sparsity.epsilon": ("1e-6 0.01 1", f"0 -0.1 inf {NUMBER}"),
    "sparsity.target": ("0.65 1", f"-0.1 {NUMBER}"),
    "sparsity.rate": ("1e-5 0.1", f"0 -1 inf {NUMBER}"),
    "decay.lambda_": ("1e-6 0.01 1", f"-1 inf {NUMBER}"),
    "decay.alpha": ("0 0.2 1 3", f"-1 inf {NUMBER}"),
    "decay.kappa": ("1e-6 0.1 10", f"0 -1 {NUMBER}"),
    "approximation.weight": ("0 0.01 1", f"-1 inf {NUMBER}"),
    "constraint.hoyer.sparseness": ("0 0.3 1", f"-0.1 2 {NUMBER}"),
    "constraint.hoyer.bias": ("true false", ""),
    "constraint.nonnegative.bias": ("true false", ""),
    "encoder.activation": (ACTIVATION, "swish null 3 [] {a:1} ''"),
    "encoder.hidden": ("[] [1] [7,5]", "512 [0] [-3] [a] [1.5] null abc {a:1} [[1]]"),
    "encoder.tied": ("true false", "no 1 null [] maybe"),
    "corruption.std": ("0 0.3", f"-1 inf {NUMBER}"),
    "corruption.share": ("0 0.5", f"-1 1 {NUMBER}"),
    "decoder.activation": (ACTIVATION, "swish null 3 [] {a:1}"),
    "decoder.biased": ("true false", "no 0 null maybe"),
    "decoder.initial_bias": ("0 -3", f"inf {NUMBER}"),
    "optimizer.lr": ("1e-4 0.1", "-1 abc null [1] {a:1}"),
    "optimizer.betas": ("[0.5,0.999] [0.0,0.9]", "[2,0.9] [0.5] 3 abc null [a,b]"),
    "optimizer.rho": ("0 0.9", "2 -1 abc null"),
    "schedule.warmup": ("0 0.05 0.99", f"1 -0.1 2 {NUMBER}"),
    "callbacks.gallery.every_n_epochs": ("1 2 100", f"0 {WHOLE}"),
    "callbacks.pruning.target": ("atoms code", "bias null [] 3"),
    "callbacks.pruning.begin": ("0 1", WHOLE),
    "callbacks.pruning.end": ("2 30", f"0 {WHOLE}"),
    "callbacks.pruning.share": ("0 0.5 0.99 1", f"-0.1 1.1 {NUMBER}"),
    "data.image_shape": ("", "[1,3,3] [1,28] [] 28 null abc [1,-3,3] [1,a,3]"),
    "data.batch_size": (f"1 2 7 128 {10**6}", f"0 {WHOLE}"),
    "data.eval_batch_size": ("1 13 1000", f"0 {WHOLE}"),
    "data.val_size": ("0 1 20", "100000 1.5 -1 abc null [1] {a:1} nan inf true ''"),
    "data.seed": (f"0 1 {2**32 - 1}", SEED),
    "data.source.size": ("2 5 8", f"0 1 {WHOLE}"),
    "data.source.probability": ("null 0.01 0.3 0.99", "0 1 2 -0.1 abc [1] nan true"),
    "data.source.train_size": ("40 200", f"0 {WHOLE}"),
    "data.source.test_size": ("1 2 60", f"0 {WHOLE}"),
    "data.source.seed": ("0 1", SEED),
    "trainer.max_epochs": ("", "abc [1] 1.5 -7 {a:1}"),
    "trainer.accelerator": ("", "abacus 3 []"),
    "trainer.devices": ("", "0 -3 abc {a:1}"),
    "trainer.precision": ("", "7 abc []"),
    "+trainer.limit_val_batches": ("", "-1 1.5"),
}
EVERYWHERE = [key for key in KEYS if "." not in key or key.startswith(("trainer", "+trainer", "data.image_shape"))]
SHORT = {"trainer.max_epochs": "1", "trainer.accelerator": "cpu", "trainer.limit_train_batches": "2"}

# command lines that are wrong whatever else they say, and a word that the message must have
WRONG: list[tuple[str, str]] = [
    ("sparsity=kl encoder.activation=relu", "encoder.activation"),
    ("reconstruction=bce decoder.activation=identity", "decoder.activation"),
    ("encoder.tied=true encoder.hidden=[3]", "encoder.hidden"),
    ("sparsity=intrinsic_plasticity encoder.activation=sigmoid", "encoder.activation"),
    ("sparsity=l0 encoder.activation=relu", "encoder/activation=jump_relu"),
    ("encoder.activation=topk", "encoder/activation="),
    ("encoder=matching_pursuit sparsity=none", "decoder.biased"),
    ("decoder=max_times decoder.activation=normalised_relu", "increasing activation"),
    ("decoder=max_times encoder=matching_pursuit sparsity=none", "decoder=dictionary"),
    ("sparsity._target_=partae.sparsity.Nothing", "partae.sparsity.Nothing"),
    ("sparsity._target_=nowhere.KL", "nowhere"),
    ("decoder._target_=partae.decay.L2", "decoder"),
    ("data.source._target_=partae.sparsity.NoSparsity", "NoSparsity"),
    ("callbacks=dense_sparse_dense callbacks.pruning.threshold=0.1", "threshold"),
    ("data=fashion_mnist data.source.root=nowhere data.source.download=maybe", "download"),
    ("data=bars data.val_size=2000", "val_size"),
    ("data=bars latent_dim=999999999999999", "memory"),
    ("data=bars latent_dim=9999999999999999999999", "Dense"),
    ("data=bars data.source.probability=0.000001 svm=quick", "svm=quick"),
    ("hydra.run.dir=/dev/null/run", "/dev/null"),
    ("latent_dim=${nowhere}", "nowhere"),
    ("seed=${oc.nothing:1}", "oc.nothing"),
    ("data.batch_size=???", "batch_size"),
    ("sparsity.beta", "sparsity.beta"),
    ("=3", "3"),
    ("sparsity.beta=[1,2", "[1,2"),
    ("sparsity.beta={a", "{a"),
    ("sparsity.beta='1", "'1"),
    ("~nowhere", "nowhere"),
]


CHOICES = {
    folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
    for folder in sorted((ROOT / "conf").iterdir())
    if folder.is_dir() and folder.name not in ("hydra", "experiment", "debug")
}
CHOICES["logger"] = ["csv", "none", "tensorboard", "[csv,tensorboard]"]  # others may not be installed


def arguments(line: dict[str, str]) -> list[str]:
    return [f"{key}={value}" for key, value in line.items()]


def has(cfg: object, key: str) -> bool:
    first, _, rest = key.partition(".")
    return isinstance(cfg, dict) and first in cfg and (not rest or has(cfg[first], rest))


def keys_of(groups: dict[str, str]) -> list[str]:
    """The keys of `KEYS` that a configuration has in these groups, and at the top."""
    with initialize(version_base="1.3", config_path="../conf"):
        cfg = OmegaConf.to_container(compose("train", overrides=[f"{key}={value}" for key, value in groups.items()]))
    return [key for key in KEYS if key.partition(".")[0] in (groups if "." in key else KEYS) and has(cfg, key)]


@st.composite
def valid(draw: st.DrawFn) -> dict[str, str]:
    """A command line that must train, as key -> value: choices of groups, then values of their keys."""

    def pick(values: str) -> str:
        return draw(st.sampled_from(values.split()))

    groups = {group: draw(st.sampled_from(choices)) for group, choices in CHOICES.items()}
    groups["model"] = draw(st.sampled_from([name for name in CHOICES["model"] if name != "factorization"]))
    groups["data"] = pick("bars swimmer")  # these need no file
    constraints = [name for name in CHOICES["constraint"] if name != "none"]
    several = draw(st.lists(st.sampled_from(constraints), max_size=2, unique=True))
    groups["constraint"] = f"[{','.join(several)}]" if several else "none"
    model = groups["model"]
    if groups["sparsity"] == "l0":  # its thresholds are those of one activation
        groups |= {"sparsity": "none"} if model == "nnsae" else {"encoder": "dense", "encoder/activation": "jump_relu"}
    adapts = model == "nnsae" or groups["sparsity"] == "intrinsic_plasticity"
    if model not in ("autoencoder", "nnsae", "asymmetric"):  # it says itself what it is made of
        groups = {group: groups[group] for group in ("data", "model", "logger")}
    elif model == "asymmetric" or adapts:
        groups["encoder"] = "conv" if model == "asymmetric" else "dense"

    if groups.get("encoder") == "matching_pursuit":
        groups |= {"sparsity": "none", "decoder": "dictionary"}
    if model == "nnsae":  # it leaves out the bias of a dictionary
        groups["decoder"] = "dictionary"
    values = {key: pick(KEYS[key][0]) for key in keys_of(groups) if KEYS[key][0] and draw(st.booleans())}
    if groups["data"] == "bars":
        size = "8" if groups.get("encoder") == "conv" else pick(KEYS["data.source.size"][0])  # the least for layers
        values |= {"data.source.size": size, "data.val_size": pick(KEYS["data.val_size"][0])}
    if values.get("data.source.probability") in ("0.01", "0.99"):  # all images may be of one class
        values["svm"] = "none"
    if values.get("data.val_size") == "0":
        values["metric"] = "test/hoyer_sparsity"
        if groups.get("callbacks") == "early_stopping":
            groups["callbacks"] = "default"
    if "encoder" not in groups:
        return groups | values | SHORT | {"latent_dim": "2"}  # no more than pixels

    if "callbacks.pruning.end" in values:
        values["callbacks.pruning.begin"] = pick(KEYS["callbacks.pruning.begin"][0])
    if adapts:
        values["encoder.activation"] = "logistic"
    elif groups["sparsity"] == "kl":
        values["encoder.activation"] = pick("sigmoid logistic")
    if groups["encoder"] == "matching_pursuit":
        values["decoder.biased"] = "false"
    if "encoder/activation" in groups:
        values.pop("encoder.activation", None)
    if groups["reconstruction"] == "bce":
        values["decoder.activation"] = pick("sigmoid logistic")
    if groups["decoder"] == "max_times":  # its bias is an atom, and its activation increases
        values |= {"decoder.initial_bias": pick("0 0.1"), "decoder.activation": pick("sigmoid")}
    if groups["encoder"] != "dense":  # its weights are not the atoms
        values.pop("encoder.tied", None)
    tied = values.get("encoder.tied", str(model == "nnsae").lower()) == "true"
    if tied or model == "nnsae":
        values.pop("encoder.hidden", None)
    if tied and groups["callbacks"] == "revival":  # takes weights of the encoder's own
        groups["callbacks"] = "default"
    return groups | values | SHORT


@st.composite
def invalid(draw: st.DrawFn) -> tuple[list[str], str]:
    """The arguments of a command line that must be refused, and a word that its message must have."""
    if draw(st.booleans()):
        wrong, word = draw(st.sampled_from(WRONG))
        return [*wrong.split(), *arguments(SHORT)], word
    line = draw(valid())
    groups = {"data", "decay", "decoder", "encoder", "model", "optimizer", "sparsity"} & line.keys()
    group = draw(st.sampled_from(sorted(groups)))
    key = draw(st.sampled_from([key for key, (_, bad) in KEYS.items() if bad and key in {*line, *EVERYWHERE}]))
    wrong, word = draw(
        st.one_of(
            st.sampled_from([(f"{key}={value}", key.rpartition(".")[2].lstrip("+")) for value in KEYS[key][1].split()]),
            st.sampled_from([(f"{group}=kll", "kll"), (f"{group}.betta=1", "betta"), (f"+{group}.betta=1", "betta")]),
            # group=null stands for group=none
            st.sampled_from([(f"{group}{value}", group) for value in ("._target_=3", "._target_=[]")]),
        )
    )
    changed = wrong.partition("=")[0]
    kept = {key: value for key, value in line.items() if key != changed and not key.startswith(f"{changed}.")}
    return [*arguments(kept), wrong], word
