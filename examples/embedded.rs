//! A program that has its model inside: no file is read, and the program alone is what is shipped.
//!
//! ```text
//! cargo run --release --example embedded
//! cargo run --release --example embedded -- 今天天[MASK]很好.
//! ```

use ndalbert::pipelines::{FillMask, Pipeline, PipelineOptions};
use ndalbert::{MemoryFiles, Precision};

/// A file of the model, at compile time.
macro_rules! model_file {
    ($name:literal) => {
        include_bytes!(concat!("data/albert-chinese-demo/", $name))
    };
}

fn main() -> ndalbert::Result<()> {
    let files = MemoryFiles::new()
        .with("config.json", model_file!("config.json"))
        .with("model.safetensors", model_file!("model.safetensors"))
        .with("vocab.txt", model_file!("vocab.txt"))
        .with("tokenizer_config.json", model_file!("tokenizer_config.json"));
    let options = PipelineOptions::new().precision(Precision::Int8);
    let fill = FillMask::from_bytes_with(&files, &options)?;
    let text = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "我们可以使用神经网[MASK]来训[MASK]模型。".to_owned());
    for (mask, words) in fill.run(text.as_str())?.iter().enumerate() {
        for word in words {
            println!("mask {mask}  {:.4}  {}", word.score, word.token_str);
        }
    }
    Ok(())
}
