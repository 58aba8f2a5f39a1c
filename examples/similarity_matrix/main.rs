//! Which texts are alike to a model: the cosine of every two, as a field of colour.
//!
//! ```text
//! cargo run --release --example similarity_matrix
//! cargo run --release --example similarity_matrix -- --model DIR --texts LINES.txt \
//!     --pooling pooler --output alike
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
#[path = "../common/texts.rs"]
mod texts;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::ValueExt;
use ndalbert::ndarray::{Array1, Array2, Axis};
use ndalbert::{Albert, AlbertTokenizer, Batch, Model};

use cli::Failure;
use layout::Matrix;
use picture::Picture;
use texts::Texts;

/// Pre-trained on Chinese texts.
const MODEL: &str = "albert-chinese-demo";

const TEXTS: [&str; 9] = [
    "训练神经网络需要很多数据。",
    "我们用这些数据训练模型。",
    "这个函数返回一个张量。",
    "她坐在窗前,一句话也不说。",
    "他站在门口,半天没有说话。",
    "母亲看着孩子,笑了。",
    "饭馆里的菜很好吃。",
    "我们在家里吃了晚饭。",
    "你吃饭了吗?",
];

/// How many texts go through the model at a time.
const BATCH: usize = 16;

const EXAMPLE: &str = "similarity_matrix";

const OWN_HELP: &str = "\
\x20 --model DIR     a checkpoint: config.json, weights, vocabulary
                  [default: a small Chinese one that comes with this crate]
  --text TEXT     a text; repeat it for others [default: nine in Chinese]
  --texts FILE    one text per line
  --pooling P     what stands for a text: mean (of its tokens' states), cls
                  (its first token's) or pooler (its pooled output)
                  [default: mean]
";

struct Options {
    model: Option<PathBuf>,
    texts: Vec<String>,
    pooling: Pooling,
    picture: Picture,
}

/// What stands for a text.
#[derive(Clone, Copy)]
enum Pooling {
    Mean,
    Cls,
    Pooler,
}

fn main() -> ExitCode {
    let what = "Draws how alike texts are to a model: the cosine of every two.";
    cli::main(&picture::help(EXAMPLE, what, OWN_HELP), parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let Options { model, texts, pooling, picture } = options;
    let directory = model.unwrap_or_else(|| checkpoint::shipped(MODEL));
    let tokenizer = AlbertTokenizer::from_pretrained(&directory)?;
    let (config, parameters) = backbone::load(&directory)?;
    let albert = Albert::from_parameters(config, parameters)?;
    let tokenizer = tokenizer.with_max_length(albert.config().max_position_embeddings)?;
    let mut vectors = Vec::with_capacity(texts.len());
    for chunk in texts.chunks(BATCH) {
        let encodings = tokenizer.encode_batch(chunk)?;
        vectors.extend(pooling.vectors(&albert, &Batch::from_encodings(&encodings)?)?);
    }
    let cosines = cosines(&vectors);
    let name = match pooling {
        Pooling::Mean => "means of the last states of tokens",
        Pooling::Cls => "the last states of first tokens",
        Pooling::Pooler => "pooled outputs",
    };
    let subtitle = format!("{}: cosines of {name}", directory.display());
    picture.save(&Matrix { subtitle, texts: &texts, cosines: &cosines }.draw()?, out)
}

impl Pooling {
    /// What stands for each text of a batch.
    fn vectors(self, albert: &Albert, batch: &Batch) -> Result<Vec<Array1<f32>>, Failure> {
        if let Self::Pooler = self {
            let pooled = albert.pooler_output(batch)?;
            return Ok(pooled.outer_iter().map(|row| row.to_owned()).collect());
        }
        let states = albert.forward(batch)?.last_hidden_state;
        let vector = |sequence: usize| {
            let states = states.sequence(sequence);
            match self {
                // Every sequence has tokens: there are at least the special ones.
                Self::Mean => states.sum_axis(Axis(0)) / states.nrows() as f32,
                _ => states.row(0).to_owned(),
            }
        };
        Ok((0..states.num_sequences()).map(vector).collect())
    }
}

/// The cosine of every two; 0 where a vector has no direction.
fn cosines(vectors: &[Array1<f32>]) -> Array2<f32> {
    let unit = |vector: &Array1<f32>| {
        let length = vector.dot(vector).sqrt();
        if length > 0.0 { vector / length } else { vector.clone() }
    };
    let units: Vec<Array1<f32>> = vectors.iter().map(unit).collect();
    let count = units.len();
    Array2::from_shape_fn((count, count), |(row, column)| units[row].dot(&units[column]))
}

fn parse(arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let (mut model, mut texts, mut pooling) = (None, Texts::default(), Pooling::Mean);
    let picture = Picture::parse(EXAMPLE, arguments, |name, arguments| {
        match name {
            "model" => model = Some(arguments.value()?.into()),
            "pooling" => pooling = arguments.value()?.parse_with(by_name)?,
            name => return texts.take(name, arguments),
        }
        Ok(true)
    })?;
    let texts = texts.or(&TEXTS);
    Ok(picture.map(|picture| Options { model, texts, pooling, picture }))
}

fn by_name(name: &str) -> Result<Pooling, &'static str> {
    match name {
        "mean" => Ok(Pooling::Mean),
        "cls" => Ok(Pooling::Cls),
        "pooler" => Ok(Pooling::Pooler),
        _ => Err("expected mean, cls or pooler"),
    }
}
