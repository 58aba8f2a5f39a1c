//! How far each layer moves what passes through it: figure 1 of the ALBERT paper, for any
//! checkpoint.
//!
//! ```text
//! cargo run --release --example layer_dynamics
//! cargo run --release --example layer_dynamics -- --model DIR --preset bert-base \
//!     --texts LINES.txt --output moves
//! ```

#[path = "../common/axes.rs"]
mod axes;
#[path = "../common/backbone.rs"]
mod backbone;
#[path = "../common/checkpoint.rs"]
mod checkpoint;
#[path = "../common/cli.rs"]
mod cli;
mod contestants;
#[path = "../common/drawing/mod.rs"]
mod drawing;
#[path = "../common/picture.rs"]
mod picture;
#[path = "../common/png/mod.rs"]
mod png;
#[path = "../common/random.rs"]
mod random;
#[path = "../common/table.rs"]
mod table;
#[path = "../common/texts.rs"]
mod texts;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::ValueExt;

use axes::{Frame, Ranges, Series};
use cli::Failure;
use contestants::{Contestant, Moves};
use drawing::{Anchor, Drawing, GRAY, Text};
use picture::Picture;
use table::{Align, Table};
use texts::Texts;

/// Pre-trained on Chinese texts.
const MODEL: &str = "albert-chinese-demo";

/// Prose and technical text, which it was pre-trained on.
const TEXTS: [&str; 6] = [
    "他喝了一杯茶,然后走了出去。",
    "老太太坐在门口,看着孩子们在院子里跑。",
    "天快黑了,街上的人渐渐少了。",
    "算法组的成员们精通各种AI算法。",
    "这个函数返回一个张量,它的形状和输入相同。",
    "训练神经网络需要很多数据和时间。",
];

const EXAMPLE: &str = "layer_dynamics";

const OWN_HELP: &str = "\
\x20 --model DIR     a checkpoint: config.json, weights, vocabulary; may be
                  repeated [default: a small Chinese one that comes with this
                  crate, and --untrained]
  --untrained     besides, the first checkpoint's shape with random weights,
                  once shared as it is and once with nothing shared
  --preset NAME   besides, a published shape with random weights on random
                  tokens, such as large or bert-base; may be repeated
  --layers N      apply the layers of checkpoints N times instead, which only
                  those can that share them
  --seed N        what random weights are drawn from [default: 0]
  --text TEXT     a text that goes through; may be repeated
                  [default: six Chinese sentences]
  --texts FILE    one text per line
";

struct Options {
    models: Vec<PathBuf>,
    layers: Option<usize>,
    untrained: bool,
    presets: Vec<String>,
    seed: u64,
    texts: Vec<String>,
    picture: Picture,
}

fn main() -> ExitCode {
    let what = "\
Draws how far each layer moves the states of tokens: the distance (L2) and the
angle between its input and its output, as figure 1 of the ALBERT paper.";
    cli::main(&picture::help(EXAMPLE, what, OWN_HELP), parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    let Options { models, layers, untrained, presets, seed, texts, picture } = options;
    let mut curves = Vec::new();
    for model in &models {
        curves.push(Contestant::checkpoint(model, layers, &texts)?.moves()?);
    }
    if let (true, Some(model)) = (untrained, models.first()) {
        for contestant in Contestant::untrained(model, layers, &texts, seed)? {
            curves.push(contestant.moves()?);
        }
    }
    for preset in &presets {
        curves.push(Contestant::preset(preset, &texts, seed)?.moves()?);
    }
    write!(out, "{}", table(&curves))?;
    picture.save(&draw(&curves), out)
}

fn table(curves: &[Moves]) -> Table<4> {
    let mut table = Table::new([
        ("model", Align::Left),
        ("layer", Align::Right),
        ("distance", Align::Right),
        ("angle", Align::Right),
    ]);
    for Moves { name, distances, angles } in curves {
        for (layer, (distance, angle)) in (1..).zip(distances.iter().zip(angles)) {
            let numbers = [format!("{layer}"), format!("{distance:.2}"), format!("{angle:.1}°")];
            let [layer, distance, angle] = numbers;
            table.row([name.clone(), layer, distance, angle]);
        }
    }
    table
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 280.0;
const LEGEND: f64 = 62.0;

/// Two panels side by side under a legend.
fn draw(curves: &[Moves]) -> Drawing {
    let top = LEGEND + 18.0 * curves.len() as f64;
    let title = "How far each layer moves the states of tokens";
    let mut drawing = Drawing::new(WIDTH, top + HEIGHT, title);
    let text = |text: &str, at| Text { text: text.to_owned(), at, ..Text::default() };
    drawing.text(Text { size: 17.0, ..text(title, [20.0, 28.0]) });
    let [distances, angles] = [|m: &Moves| m.distances.clone(), |m: &Moves| m.angles.clone()]
        .map(|values| curves.iter().map(|moves| series(moves, values(moves))).collect::<Vec<_>>());
    drawing.legend([20.0, 54.0], &distances);
    for (name, series, left) in [
        ("distance of output from input (L2)", distances, 56.0),
        ("angle between input and output, degrees", angles, 490.0),
    ] {
        let (right, bottom) = (left + 350.0, top + HEIGHT - 46.0);
        let frame = Frame { left, right, top: top + 16.0, bottom };
        let ranges = Ranges::of(&series);
        let y = (0.0, 1.05 * ranges.y.1);
        drawing.text(text(name, [left, top]));
        drawing.lines(&frame, &Ranges { y, ..ranges }, &series);
        let at = [(left + right) / 2.0, bottom + 36.0];
        let anchor = Anchor::Middle;
        drawing.text(Text { anchor, color: GRAY, ..text("layer", at) });
    }
    drawing
}

fn series(moves: &Moves, values: Vec<f64>) -> Series {
    let points = (1..).map(f64::from).zip(values).collect();
    Series { name: moves.name.clone(), points }
}

fn parse(arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let (mut models, mut untrained, mut presets, mut seed) = (Vec::new(), false, Vec::new(), 0);
    let (mut layers, mut texts) = (None, Texts::default());
    let picture = Picture::parse(EXAMPLE, arguments, |name, arguments| {
        match name {
            "model" => models.push(arguments.value()?.into()),
            "layers" => layers = Some(arguments.value()?.parse()?),
            "untrained" => untrained = true,
            "preset" => presets.push(arguments.value()?.string()?),
            "seed" => seed = arguments.value()?.parse()?,
            name => return texts.take(name, arguments),
        }
        Ok(true)
    })?;
    let Some(picture) = picture else { return Ok(None) };
    if models.is_empty() && (untrained || presets.is_empty()) {
        models.push(checkpoint::shipped(MODEL));
        untrained = true;
    }
    let texts = texts.or(&TEXTS);
    Ok(Some(Options { models, layers, untrained, presets, seed, texts, picture }))
}
