//! ALBERT out of candle's parts: it has no ALBERT, but its BERT encoder does the same arithmetic.
//! The layers' weights are read under other names, all from the one shared layer, and the
//! embeddings are written here.

use anyhow::{Context, Result, bail};
use candle_core::{DType, Device, Tensor};
use candle_nn::{Embedding, LayerNorm, Linear, Module, VarBuilder, embedding, layer_norm, linear};
use candle_transformers::models::bert::{BertEncoder, Config, HiddenAct};
use contestant::{Case, Contestant, Piece};
use serde_json::Value;

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
        let number = |key: &str| {
            config[key].as_u64().map(|n| n as usize).context("a number is missing in config.json")
        };
        let (vocab, embed, hidden) =
            (number("vocab_size")?, number("embedding_size")?, number("hidden_size")?);
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
        let weights =
            unsafe { VarBuilder::from_mmaped_safetensors(&[file], DType::F32, &Device::Cpu)? };
        let tables = weights.pp("embeddings");
        Ok(Self {
            words: embedding(vocab, embed, tables.pp("word_embeddings"))?,
            positions: embedding(
                number("max_position_embeddings")?,
                embed,
                tables.pp("position_embeddings"),
            )?,
            types: embedding(
                number("type_vocab_size")?,
                embed,
                tables.pp("token_type_embeddings"),
            )?,
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

/// `ids` [B, S] and what is added to the scores, [B, 1, 1, S].
fn inputs(piece: &Piece) -> Result<(Tensor, Tensor)> {
    let [batch, seq] = piece.shape;
    let ids: Vec<u32> = piece.ids.iter().map(|&id| id as u32).collect();
    let mask: Vec<f32> =
        piece.mask.iter().map(|&real| if real == 1 { 0.0 } else { f32::MIN }).collect();
    let ids = Tensor::from_vec(ids, (batch, seq), &Device::Cpu)?;
    Ok((ids, Tensor::from_vec(mask, (batch, 1, 1, seq), &Device::Cpu)?))
}

struct Candle {
    albert: Albert,
    inputs: Vec<(Tensor, Tensor)>,
}

impl Contestant for Candle {
    type Output = Tensor;

    fn load(case: &Case) -> Result<Self> {
        let inputs = case.pieces.iter().map(inputs).collect::<Result<_>>()?;
        Ok(Self { albert: Albert::load(&case.directory)?, inputs })
    }

    fn run(&self, case: &Case, piece: usize) -> Result<Tensor> {
        let (ids, mask) = &self.inputs[piece];
        self.albert.forward(ids, mask, case.pooled)
    }

    fn values(output: Tensor) -> Result<Vec<f32>> {
        Ok(output.flatten_all()?.to_vec1()?)
    }
}

fn main() -> Result<()> {
    contestant::compete::<Candle>()
}
