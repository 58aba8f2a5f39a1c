//! What attends to what: the attention probabilities of a text, a field of colour for every head of
//! every layer.
//!
//! ```text
//! cargo run --release --example attention_map
//! cargo run --release --example attention_map -- --model DIR --text "It rained." --layers 1,6 \
//!     --output rain
//! ```

#[path = "../common/backbone.rs"]
mod backbone;
#[path = "../common/checkpoint.rs"]
mod checkpoint;
#[path = "../common/cli.rs"]
mod cli;
#[path = "../common/drawing/mod.rs"]
mod drawing;
#[path = "../common/heat.rs"]
mod heat;
#[path = "../common/labels.rs"]
mod labels;
mod layout;
#[path = "../common/matrix.rs"]
mod matrix;
#[path = "../common/picture.rs"]
mod picture;
#[path = "../common/png/mod.rs"]
mod png;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::ValueExt;
use ndalbert::ndarray::Array3;
use ndalbert::{Albert, AlbertTokenizer, Batch, Model, OutputOptions};

use cli::Failure;
use layout::Map;
use picture::Picture;

/// Pre-trained on Chinese texts.
const MODEL: &str = "albert-chinese-demo";

const TEXT: &str = "他喝了一杯茶,然后走了出去。";

const EXAMPLE: &str = "attention_map";

const OWN_HELP: &str = "\
\x20 --model DIR     a checkpoint: config.json, weights, vocabulary
                  [default: a small Chinese one that comes with this crate]
  --text TEXT     whose tokens attend to each other
                  [default: a Chinese sentence]
  --pair TEXT     a second text after it
  --layers LIST   which to draw, counted from 1, such as 1,3-5 [default: all]
  --heads LIST    the same for heads [default: all]
";

struct Options {
    model: Option<PathBuf>,
    text: String,
    pair: Option<String>,
    layers: Option<List>,
    heads: Option<List>,
    picture: Picture,
}

/// Numbers, counted from 1.
struct List(Vec<usize>);

fn main() -> ExitCode {
    let what = "Draws what the tokens of a text attend to, for every head of every layer.";
    cli::main(&picture::help(EXAMPLE, what, OWN_HELP), parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let Options { model, text, pair, layers, heads, picture } = options;
    let directory = model.unwrap_or_else(|| checkpoint::shipped(MODEL));
    let tokenizer = AlbertTokenizer::from_pretrained(&directory)?;
    let encoding = match &pair {
        Some(pair) => tokenizer.encode_pair(&text, pair)?,
        None => tokenizer.encode(&text)?,
    };
    let (config, parameters) = backbone::load(&directory)?;
    let albert = Albert::from_parameters(config, parameters)?;
    let attend = OutputOptions { attentions: true, ..OutputOptions::default() };
    let output = albert.forward_with(&Batch::from_encodings([&encoding])?, attend)?;
    let attentions: Vec<Array3<f32>> = output.attentions.iter().map(|a| a.sequence(0)).collect();

    let num_heads = attentions.first().map_or(0, |layer| layer.dim().0);
    let map = Map {
        title: [Some(&text), pair.as_ref()]
            .into_iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join(" | "),
        model: directory.display().to_string(),
        tokens: &encoding.tokens,
        attentions: &attentions,
        layers: chosen(layers, attentions.len(), "--layers")?,
        heads: chosen(heads, num_heads, "--heads")?,
    };
    picture.save(&map.draw()?, out)
}

/// What was asked for, counted from 0, or all there are.
fn chosen(list: Option<List>, count: usize, option: &str) -> Result<Vec<usize>, Failure> {
    let Some(List(numbers)) = list else { return Ok((0..count).collect()) };
    match numbers.iter().find(|&&number| number == 0 || number > count) {
        Some(number) => Err(format!("{option}: expected 1 to {count}, found {number}").into()),
        None => Ok(numbers.iter().map(|number| number - 1).collect()),
    }
}

fn parse(arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let (mut model, mut text, mut pair) = (None, TEXT.to_owned(), None);
    let (mut layers, mut heads) = (None, None);
    let picture = Picture::parse(EXAMPLE, arguments, |name, arguments| {
        match name {
            "model" => model = Some(arguments.value()?.into()),
            "text" => text = arguments.value()?.string()?,
            "pair" => pair = Some(arguments.value()?.string()?),
            "layers" => layers = Some(arguments.value()?.parse_with(list)?),
            "heads" => heads = Some(arguments.value()?.parse_with(list)?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(picture.map(|picture| Options { model, text, pair, layers, heads, picture }))
}

/// Numbers and ranges of them, with commas between.
fn list(text: &str) -> Result<List, &'static str> {
    const EXPECTED: &str = "expected numbers and ranges such as 1,3-5";
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse::<u16>().map_err(|_| EXPECTED);
        numbers.extend((number(first)?..=number(last)?).map(usize::from));
    }
    if numbers.is_empty() { Err(EXPECTED) } else { Ok(List(numbers)) }
}
