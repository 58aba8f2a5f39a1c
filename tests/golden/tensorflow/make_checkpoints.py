"""Writes `tests/fixtures/tensorflow/<case>/`: checkpoints as TensorFlow's `Saver` writes them, under the names of
google-research/albert, and what transformers computes with them.

    python make_checkpoints.py            write everything
    python make_checkpoints.py --check    write to a temporary directory and compare with what is here, byte for byte

The converter is transformers 4's `load_tf_weights_in_albert`, the last there was. Where it errs or has nothing, this script
does what google-research/albert does, and says so:

* it cannot read bfloat16 (`torch.from_numpy`): such values are handed to it as float32;
* it knows no `cls/squad` and no classifier in the class for pre-training: heads are taken over here, as they are (`[out, in]`);
* where E = H, google-research has no `embedding_hidden_mapping_in`, and the converter leaves it as it was drawn: here it is
  the identity.

References are computed in float64 from the values in the file, and stored as float32.
"""

import filecmp
import json
import os
import shutil
import sys
import tempfile
import zlib
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import safetensors
import torch
import transformers
from safetensors.torch import save_file
from transformers.models.albert import modeling_albert

import tensorflow as tf  # after torch: both bring LLVM

PINNED = {np: "2.4.6", safetensors: "0.8.0", tf: "2.21.0", torch: "2.15.0", transformers: "4.57.1"}
for module, version in PINNED.items():
    found = module.__version__.split("+")[0]
    assert found == version, f"{module.__name__} is {found}, these files are made with {version}"

v1 = tf.compat.v1
v1.disable_eager_execution()
torch.set_num_threads(1)
transformers.logging.set_verbosity_error()

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures" / "tensorflow"

SIZES = {
    "attention_probs_dropout_prob": 0, "hidden_act": "gelu", "hidden_dropout_prob": 0, "embedding_size": 6,
    "hidden_size": 12, "initializer_range": 0.02, "intermediate_size": 20, "max_position_embeddings": 10,
    "num_attention_heads": 3, "num_hidden_layers": 2, "num_hidden_groups": 1, "net_structure_type": 0, "gap_size": 0,
    "num_memory_blocks": 0, "inner_group_num": 1, "down_scale_factor": 1, "type_vocab_size": 2, "vocab_size": 40,
}


def variables(config, heads, rng):
    """Every variable of google-research/albert's `modeling.py` and of its heads, by name, float32."""
    vocab, embed, hidden, inter = (config[key] for key in
                                   ("vocab_size", "embedding_size", "hidden_size", "intermediate_size"))
    found = {}

    def add(name, *shape, center=0.0, spread=1.0):
        found[name] = (center + spread * rng.standard_normal(shape)).astype(np.float32)

    def dense(name, inputs, outputs):
        add(f"{name}/kernel", inputs, outputs, spread=1.2 / inputs**0.5)
        add(f"{name}/bias", outputs, spread=0.3)

    def norm(name, width):
        add(f"{name}/gamma", width, center=1.0, spread=0.3)
        add(f"{name}/beta", width, spread=0.3)

    for name, rows in [("word", vocab), ("position", config["max_position_embeddings"]),
                       ("token_type", config["type_vocab_size"])]:
        add(f"bert/embeddings/{name}_embeddings", rows, embed)
    norm("bert/embeddings/LayerNorm", embed)
    if embed != hidden:
        dense("bert/encoder/embedding_hidden_mapping_in", embed, hidden)
    for group in range(config["num_hidden_groups"]):
        for inner in range(config["inner_group_num"]):
            layer = f"bert/encoder/transformer/group_{group}/inner_group_{inner}"
            for part in ("query", "key", "value"):
                dense(f"{layer}/attention_1/self/{part}", hidden, hidden)
            dense(f"{layer}/attention_1/output/dense", hidden, hidden)
            norm(f"{layer}/LayerNorm", hidden)
            dense(f"{layer}/ffn_1/intermediate/dense", hidden, inter)
            dense(f"{layer}/ffn_1/intermediate/output/dense", inter, hidden)
            norm(f"{layer}/LayerNorm_1", hidden)
    dense("bert/pooler/dense", hidden, hidden)
    if "pretraining" in heads:
        dense("cls/predictions/transform/dense", hidden, embed)
        norm("cls/predictions/transform/LayerNorm", embed)
        add("cls/predictions/output_bias", vocab, spread=0.3)
        add("cls/seq_relationship/output_weights", 2, hidden, spread=0.4)
        add("cls/seq_relationship/output_bias", 2, spread=0.3)
    for head, prefix in [("squad", "cls/squad/"), ("classifier", "")]:
        if head in heads:
            classes = 2 if head == "squad" else 3
            add(f"{prefix}output_weights", classes, hidden, spread=0.4)
            add(f"{prefix}output_bias", classes, spread=0.3)
    return found


def save(path, values, dtype=tf.float32, optimizer=False, shards=1, scope="", partitions=None, version=v1.train.SaverDef.V2):
    """Writes a checkpoint with TensorFlow's `Saver`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default():
        made = []
        partitioner = v1.fixed_size_partitioner(partitions) if partitions else None
        for i, (name, value) in enumerate(values.items()):
            with tf.device(f"/cpu:{i % shards}"):
                variable = v1.get_variable(scope + name, initializer=tf.cast(value, dtype), use_resource=False) \
                    if partitioner is None else v1.get_variable(
                        scope + name, value.shape, dtype, v1.zeros_initializer(), partitioner=partitioner, use_resource=False)
                made.append(variable)
                if optimizer:
                    for slot in ("adam_m", "adam_v"):
                        made.append(v1.get_variable(f"{scope}{name}/{slot}", initializer=tf.zeros_like(value), use_resource=False))
        if optimizer:
            made.append(v1.get_variable("global_step", initializer=np.int64(125000), use_resource=False))
            made.append(v1.get_variable("beta1_power", initializer=np.float32(0.9), use_resource=False))
        saver = v1.train.Saver(made, sharded=shards > 1, write_version=version)
        with v1.Session(config=v1.ConfigProto(device_count={"CPU": shards})) as session:
            session.run(v1.global_variables_initializer())
            saver.save(session, str(path), write_meta_graph=False, write_state=False)


def converted(config, checkpoint, heads):
    """The class for pre-training, by transformers' converter, and the values of the file as float32."""
    reader = tf.train.load_checkpoint(str(checkpoint))
    values = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    values = {name: value if value.dtype.kind == "i" else value.astype(np.float32) for name, value in values.items()}
    activation = {"gelu": "gelu_new"}.get(config["hidden_act"], config["hidden_act"])
    albert = transformers.AlbertConfig(**{**config, "hidden_act": activation})
    model = transformers.AlbertForPreTraining(albert)
    known = {name: value for name, value in values.items() if "squad" not in name and "/" in name}
    original = tf.train.list_variables, tf.train.load_variable
    tf.train.list_variables = lambda _: [(name, value.shape) for name, value in known.items()]
    tf.train.load_variable = lambda _, name: known[name]
    try:
        with open(os.devnull, "w") as nowhere:
            stdout, sys.stdout = sys.stdout, nowhere
            try:
                modeling_albert.load_tf_weights_in_albert(model, albert, str(checkpoint))
            finally:
                sys.stdout = stdout
    finally:
        tf.train.list_variables, tf.train.load_variable = original
    if config["embedding_size"] == config["hidden_size"]:
        mapping = model.albert.encoder.embedding_hidden_mapping_in
        mapping.weight.data, mapping.bias.data = torch.eye(config["hidden_size"]), torch.zeros(config["hidden_size"])
    return albert, model, values


def reference(architecture, config, checkpoint, heads):
    """Inputs and outputs, as `tests/golden/models` has them."""
    albert, pretraining, values = converted(config, checkpoint, heads)
    if "classifier" in heads:
        albert.num_labels = len(values["output_bias"])
    model = getattr(transformers, architecture)(albert)
    state = pretraining.state_dict()
    for head, prefix, name in [("squad", "cls/squad/", "qa_outputs"), ("classifier", "", "classifier")]:
        if head in heads:
            state[f"{name}.weight"] = torch.from_numpy(values[f"{prefix}output_weights"])
            state[f"{name}.bias"] = torch.from_numpy(values[f"{prefix}output_bias"])
    target = model if hasattr(model, "albert") else None
    if target is None:
        state = {name.removeprefix("albert."): value for name, value in state.items()}
    report = model.load_state_dict(state, strict=False)
    assert not report.missing_keys, report.missing_keys
    model = model.double().eval()
    rng = np.random.default_rng(zlib.crc32(checkpoint.parent.name.encode()))
    tensors = {}
    for run, rows, length, padded in [("plain", 2, 6, False), ("padded", 3, 7, True)]:
        ids = rng.integers(0, config["vocab_size"], (rows, length))
        mask = np.ones((rows, length), np.int64)
        if padded:
            mask[1, 5:] = mask[2, 2:] = 0
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": (np.arange(length) >= 3) * mask}
        inputs = {name: torch.from_numpy(np.ascontiguousarray(value).astype(np.int64)) for name, value in inputs.items()}
        with torch.no_grad():
            output = model(**inputs)
        names = {"logits": "prediction_logits"} if architecture in ("AlbertForMaskedLM",) else {}
        for name, value in output.items():
            tensors[f"{run}.{names.get(name, name)}"] = value.float().contiguous()
        tensors.update({f"{run}.{name}": value for name, value in inputs.items()})
        if architecture == "AlbertForPreTraining":
            tensors[f"{run}.sentence_order_label"] = torch.zeros(rows, dtype=torch.int64)
    return tensors


CASES = {}


def case(name, architecture, checkpoint, config_name, heads, *, sizes={}, **how):
    CASES[name] = (architecture, checkpoint, config_name, heads, {**SIZES, **sizes}, how)


# Google's release, with what its pre-training leaves beside the variables.
case("google", "AlbertForPreTraining", "model.ckpt-best", "albert_config.json", ["pretraining"], optimizer=True)
# An archive of TF Hub; two groups of two inner layers.
case("hub_archive", "AlbertModel", "variables/variables", "assets/albert_config.json", ["pretraining"], scope="module/",
     sizes={"num_hidden_layers": 4, "num_hidden_groups": 2, "inner_group_num": 2})
# albert_zh's `*_google` models: ReLU; here with values in three files.
case("chinese", "AlbertForMaskedLM", "albert_model.ckpt", "albert_config_tiny_google.json", ["pretraining"], shards=3,
     sizes={"hidden_act": "relu"})
# Fine-tuned: a classifier.
case("classifier", "AlbertForSequenceClassification", "model.ckpt-2000", "albert_config.json", ["pretraining", "classifier"],
     sizes={"num_hidden_layers": 1})
# Fine-tuned on SQuAD 1.1, in bfloat16.
case("squad_bfloat16", "AlbertForQuestionAnswering", "model.ckpt-8144", "albert_config.json", ["squad"], dtype=tf.bfloat16)
case("half", "AlbertModel", "model.ckpt-best", "albert_config.json", [], dtype=tf.float16)
case("double", "AlbertModel", "model.ckpt-best", "albert_config.json", [], dtype=tf.float64)
# No mapping from E to H where they are equal.
case("equal_widths", "AlbertForMaskedLM", "model.ckpt-best", "albert_config.json", ["pretraining"],
     sizes={"embedding_size": 12})


def write(root):
    for name, (architecture, checkpoint, config_name, heads, config, how) in CASES.items():
        directory = root / name
        values = variables(config, heads, np.random.default_rng(zlib.crc32(name.encode())))
        save(directory / checkpoint, values, **how)
        (directory / config_name).parent.mkdir(parents=True, exist_ok=True)
        (directory / config_name).write_text(json.dumps(config, indent=2) + "\n")
        tensors = reference(architecture, config, directory / checkpoint, heads)
        save_file(tensors, directory / "golden.safetensors", metadata={"architecture": architecture})
        print(name, architecture, sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()))
    write_refused(root / "refused")
    write_two(root / "two_models")


def write_two(directory):
    """A student, and the teacher it was distilled from; references are the student's."""
    values = {f"{scope}/{name}": value for scope in ("student", "teacher")
              for name, value in variables(SIZES, ["pretraining"], np.random.default_rng(len(scope) + ord(scope[0]))).items()}
    save(directory / "model.ckpt-10", values)
    (directory / "albert_config.json").write_text(json.dumps(SIZES, indent=2) + "\n")
    student = {name.removeprefix("student/"): value for name, value in values.items() if name.startswith("student/")}
    with tempfile.TemporaryDirectory() as alone:
        save(Path(alone) / "two_models" / "model.ckpt", student)
        tensors = reference("AlbertForMaskedLM", SIZES, Path(alone) / "two_models" / "model.ckpt", ["pretraining"])
    save_file(tensors, directory / "golden.safetensors", metadata={"architecture": "AlbertForMaskedLM"})


def write_refused(root):
    """Checkpoints that are none of an ALBERT, or in another form."""
    values = variables(SIZES, ["pretraining"], np.random.default_rng(1))
    few = {name: value for name, value in values.items() if "embeddings" in name}
    save(root / "old_format" / "model.ckpt", few, version=v1.train.SaverDef.V1)
    save(root / "slices" / "model.ckpt", few, partitions=2)
    own = {"bert/embeddings/word_embeddings": np.zeros((40, 6), np.float32),
           "bert/embeddings/word_embeddings_2": np.zeros((6, 12), np.float32),
           "bert/encoder/layer_shared/attention/self/query/kernel": np.zeros((12, 12), np.float32)}
    save(root / "albert_zh_own" / "albert_model.ckpt", own)
    bert = {"bert/embeddings/word_embeddings": np.zeros((40, 12), np.float32),
            "bert/encoder/layer_0/attention/self/query/kernel": np.zeros((12, 12), np.float32)}
    save(root / "bert" / "bert_model.ckpt", bert)
    with tf.Graph().as_default(), v1.Session() as session:
        checkpoint = tf.train.Checkpoint(kernel=tf.Variable(np.zeros((2, 3), np.float32)))
        session.run(v1.global_variables_initializer())
        with session.as_default():
            checkpoint.write(str(root / "objects" / "ckpt-1"))


def files(root):
    return sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        with tempfile.TemporaryDirectory() as scratch:
            write(Path(scratch))
            assert files(Path(scratch)) == files(FIXTURES), "other files"
            differing = [str(path) for path in files(FIXTURES)
                         if not filecmp.cmp(Path(scratch) / path, FIXTURES / path, shallow=False)]
            assert not differing, differing
            print("the same, byte for byte")
    else:
        shutil.rmtree(FIXTURES, ignore_errors=True)
        write(FIXTURES)
