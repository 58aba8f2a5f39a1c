//! ALBERT out of candle's parts: it has no ALBERT, but its BERT encoder does the same arithmetic. The layers' weights are read under other names,
//! all from the one shared layer, and the embeddings are written here. The protocol is that of `contestants.py`.

use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Embedding, LayerNorm, Linear, Module, VarBuilder, embedding, layer_norm, linear};
use candle_transformers::models::bert::{BertEncoder, Config, HiddenAct};
use serde_json::{Value, json};

struct Albert {
    words: Embedding,
    positions: Embedding,
    types: Embedding,
    norm: LayerNorm,
    mapping: Linear,
    encoder: BertEncoder,
    pooler: Linear,
}

/// BERT's name of a parameter of any layer, as ALBERT's name of the shared one.
fn shared_name(name: &str) -> String {
    let shared = "encoder.albert_layer_groups.0.albert_layers.0";
    let Some(rest) = name.strip_prefix("encoder.layer.") else { return name.to_string() };
    let (_, part) = rest.split_once('.').unwrap_or(("", rest));
    let (module, parameter) = part.rsplit_once('.').unwrap_or((part, ""));
    let module = match module {
        "attention.self.query" => "attention.query",
        "attention.self.key" => "attention.key",
        "attention.self.value" => "attention.value",
        "attention.output.dense" => "attention.dense",
        "attention.output.LayerNorm" => "attention.LayerNorm",
        "intermediate.dense" => "ffn",
        "output.dense" => "ffn_output",
        "output.LayerNorm" => "full_layer_layer_norm",
        other => other,
    };
    format!("{shared}.{module}.{parameter}")
}

impl Albert {
    fn load(directory: &str) -> Result<Self> {
        let text = std::fs::read_to_string(format!("{directory}/config.json"))?;
        let config: Value = serde_json::from_str(&text)?;
        let number = |key: &str| config[key].as_u64().map(|n| n as usize).context("a number is missing in config.json");
        let (vocab, embed, hidden) = (number("vocab_size")?, number("embedding_size")?, number("hidden_size")?);
        let bert = Config {
            vocab_size: vocab,
            hidden_size: hidden,
            num_hidden_layers: number("num_hidden_layers")?,
            num_attention_heads: number("num_attention_heads")?,
            intermediate_size: number("intermediate_size")?,
            hidden_act: match config["hidden_act"].as_str() {
                Some("gelu") => HiddenAct::Gelu,
                Some("gelu_new") => HiddenAct::GeluApproximate,
                other => bail!("activation {other:?}"),
            },
            layer_norm_eps: 1e-12,
            ..Config::default()
        };
        let file = format!("{directory}/model.safetensors");
        // SAFETY: nobody writes to the file while it is mapped.
        let weights = unsafe { VarBuilder::from_mmaped_safetensors(&[file], DType::F32, &Device::Cpu)? };
        let tables = weights.pp("embeddings");
        Ok(Self {
            words: embedding(vocab, embed, tables.pp("word_embeddings"))?,
            positions: embedding(number("max_position_embeddings")?, embed, tables.pp("position_embeddings"))?,
            types: embedding(number("type_vocab_size")?, embed, tables.pp("token_type_embeddings"))?,
            norm: layer_norm(embed, 1e-12, tables.pp("LayerNorm"))?,
            mapping: linear(embed, hidden, weights.pp("encoder.embedding_hidden_mapping_in"))?,
            pooler: linear(hidden, hidden, weights.pp("pooler"))?,
            encoder: BertEncoder::load(weights.rename_f(shared_name).pp("encoder"), &bert)?,
        })
    }

    /// `ids` [B, S], `mask` [B, 1, 1, S]: what is added to the scores.
    fn forward(&self, ids: &Tensor, mask: &Tensor, pooled: bool) -> Result<Tensor> {
        let seq = ids.dim(1)? as u32;
        let positions = self.positions.forward(&Tensor::arange(0, seq, &Device::Cpu)?)?;
        let types = self.types.forward(&ids.zeros_like()?)?;
        let embedded = (self.words.forward(ids)? + types)?.broadcast_add(&positions)?;
        let mapped = self.mapping.forward(&self.norm.forward(&embedded)?)?;
        let states = self.encoder.forward(&mapped, mask)?;
        if !pooled {
            return Ok(states);
        }
        Ok(self.pooler.forward(&states.narrow(1, 0, 1)?.squeeze(1)?.contiguous()?)?.tanh()?)
    }
}

fn send(message: Value) -> Result<()> {
    println!("{message}");
    Ok(std::io::stdout().flush()?)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, directory, case, _threads] = arguments.as_slice() else { bail!("DIRECTORY CASE THREADS") };
    let case: Value = serde_json::from_str(&std::fs::read_to_string(case)?)?;
    let sequences: Vec<Vec<u32>> = serde_json::from_value(case["ids"].clone())?;
    let pooled = case["output"] == "pooled";
    let longest = sequences.iter().map(Vec::len).max().context("no sequences")?;
    let (mut ids, mut mask) = (Vec::new(), Vec::new());
    for sequence in &sequences {
        ids.extend((0..longest).map(|at| sequence.get(at).copied().unwrap_or(0)));
        mask.extend((0..longest).map(|at| if at < sequence.len() { 0.0 } else { f32::MIN }));
    }
    let shape = (sequences.len(), longest);
    let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?;
    let mask = Tensor::from_vec(mask, (shape.0, 1, 1, shape.1), &Device::Cpu)?;

    let started = Instant::now();
    let model = Albert::load(directory)?;
    let load = started.elapsed().as_secs_f64();
    let timed = || -> Result<f64> {
        let started = Instant::now();
        model.forward(&ids, &mask, pooled)?;
        Ok(started.elapsed().as_secs_f64())
    };
    let (first, second) = (timed()?, timed()?);
    send(json!({"load_s": load, "compile_s": (first - second).max(0.0), "second_s": second, "note": "BERT's encoder"}))?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("run", count)) => {
                let seconds = (0..count.parse()?).map(|_| timed()).collect::<Result<Vec<f64>>>()?;
                send(json!({ "seconds": seconds }))?;
            }
            Some(("dump", path)) => {
                let output = model.forward(&ids, &mask, pooled)?;
                let rows = if pooled { 1 } else { longest };
                let values = output.flatten_all()?.to_vec1::<f32>()?;
                let width = values.len() / (sequences.len() * rows);
                let mut bytes = Vec::new();
                for (sequence, values) in sequences.iter().zip(values.chunks(rows * width)) {
                    let real = if pooled { 1 } else { sequence.len() };
                    bytes.extend(values[..real * width].iter().flat_map(|value| value.to_le_bytes()));
                }
                std::fs::write(path, bytes)?;
                send(json!({}))?;
            }
            _ => bail!("what is {line:?}?"),
        }
    }
    Ok(())
}
