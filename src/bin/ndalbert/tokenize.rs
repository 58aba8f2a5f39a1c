//! `tokenize`.

use clap::Args;
use ndalbert::{AlbertTokenizer, Encoding};
use serde_json::{Map, json};

use crate::arguments::InOut;
use crate::input::{Inputs, Raw, Shape};
use crate::output::{Answer, Column, Output};
use crate::table::Align::{Left, Right};
use crate::tasks::{string, text};
use crate::{Failure, models};

/// Show the tokens of a text
///
/// An input is a text; in JSON, a string, {"text": "..."}, or {"text": "...", "pair": "..."}. Offsets are in characters.
#[derive(Args)]
pub struct Options {
    /// The model: a directory, or owner/model on the Hugging Face Hub
    #[arg(short, long, value_name = "MODEL")]
    pub model: String,
    /// Truncate texts to this number of tokens
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
    #[command(flatten)]
    pub in_out: InOut,
    /// Texts [default: read from the input]
    #[arg(value_name = "TEXT")]
    pub texts: Vec<String>,
}

const HEADER: [Column; 6] = [
    ("line", Right),
    ("token", Left),
    ("id", Right),
    ("type", Right),
    ("start", Right),
    ("end", Right),
];

pub fn run(options: &Options) -> Result<(), Failure> {
    let inputs = Inputs::new(&options.texts, &options.in_out, Shape::Text)?;
    let tokenizer = models::tokenizer(&options.model, options.max_length)?;
    let is_interactive = inputs.is_interactive;
    let mut output = Output::new(options.in_out.to, HEADER);
    let (mut count, mut failed) = (0, 0);
    for input in inputs {
        let (line, raw) = input.map_err(|error| format!("the input cannot be read: {error}"))?;
        count += 1;
        match raw.and_then(|raw| encode(&tokenizer, raw)) {
            Ok(encoding) => output.write(line, answer(line, &encoding), is_interactive)?,
            Err(error) => {
                failed += 1;
                eprintln!("error: line {line}: {error}");
            }
        }
    }
    output.flush()?;
    match failed {
        0 => Ok(()),
        _ => Err(format!("{failed} of {count} inputs could not be processed").into()),
    }
}

fn encode(tokenizer: &AlbertTokenizer, raw: Raw) -> Result<Encoding, String> {
    let encoding = match raw {
        Raw::Json(value) if value.get("pair").is_some_and(|pair| !pair.is_null()) => {
            tokenizer.encode_pair(&string(&value, "text")?, &string(&value, "pair")?)
        }
        raw => tokenizer.encode(&text(raw)?),
    };
    encoding.map_err(|error| error.to_string())
}

fn answer(line: u64, encoding: &Encoding) -> Answer<6> {
    let row = |index: usize| {
        let (start, end) = encoding.offsets[index];
        let numbers = [encoding.ids[index] as usize, encoding.type_ids[index] as usize, start, end];
        let [id, kind, start, end] = numbers.map(|number| number.to_string());
        [line.to_string(), encoding.tokens[index].clone(), id, kind, start, end]
    };
    let lists = [
        ("tokens".to_owned(), json!(encoding.tokens)),
        ("ids".to_owned(), json!(encoding.ids)),
        ("type_ids".to_owned(), json!(encoding.type_ids)),
        ("offsets".to_owned(), json!(encoding.offsets)),
    ];
    Answer { json: Map::from_iter(lists), rows: (0..encoding.len()).map(row).collect() }
}
