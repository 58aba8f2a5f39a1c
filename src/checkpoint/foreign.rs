//! Files of weights that are not read here: what each is, and what to do about it.

use std::path::Path;

use super::tensorflow;

/// By how a name ends: what a file is, and what to do.
const KINDS: [(&str, &str); 7] = [
    (
        ".h5",
        "Keras' weights: convert them with transformers 4 and TensorFlow, \
         `AlbertModel.from_pretrained(DIRECTORY, from_tf=True).save_pretrained(OUTPUT)` or the same with the class \
         that config.json names",
    ),
    (
        ".msgpack",
        "Flax's weights: convert them with transformers 4 and Flax, \
         `AlbertModel.from_pretrained(DIRECTORY, from_flax=True).save_pretrained(OUTPUT)` or the same with the class \
         that config.json names",
    ),
    (".ot", "rust-bert's weights: take the safetensors or PyTorch file that they were made of"),
    (".onnx", "a graph for ONNX Runtime: take the checkpoint that it was exported from"),
    (".gguf", "weights for llama.cpp: take the checkpoint that they were converted from"),
    (".tflite", "a graph for TensorFlow Lite: take the checkpoint that it was converted from"),
    (".pb", "a graph of TensorFlow's: take the checkpoint that it was exported from"),
];

/// A single file, which was TensorFlow's format before there were indices.
const OLD_TENSORFLOW: &str = "a checkpoint in TensorFlow's old format (V1): convert it with transformers 4 and TensorFlow, \
     `python -m transformers.models.albert.convert_albert_original_tf_checkpoint_to_pytorch --tf_checkpoint_path \
     FILE --albert_config_file albert_config.json --pytorch_dump_path pytorch_model.bin`";

/// The kind of a file, if it is known but not supported.
pub(super) fn describe(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_string_lossy().to_lowercase();
    let known = KINDS.iter().find(|(end, _)| name.ends_with(end)).map(|(_, what)| *what);
    known.or_else(|| {
        let may_be_old = name.contains("ckpt") && !name.ends_with(".meta");
        (may_be_old && tensorflow::is_table(path)).then_some(OLD_TENSORFLOW)
    })
}
