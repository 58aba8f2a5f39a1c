//! What leaving early is worth: accuracy against time, of a model with exits.
//!
//! ```text
//! cargo run --release --example early_exit
//! cargo run --release --example early_exit -- --model DIR --items items/test.jsonl \
//!     --precision int8
//! ```

#[path = "../common/axes.rs"]
mod axes;
#[path = "../common/checkpoint.rs"]
mod checkpoint;
#[path = "../common/cli.rs"]
mod cli;
#[path = "../common/drawing/mod.rs"]
mod drawing;
mod items;
mod measure;
#[path = "../common/picture.rs"]
mod picture;
#[path = "../common/png/mod.rs"]
mod png;
#[path = "../common/table.rs"]
mod table;
#[path = "../common/timing.rs"]
mod timing;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::ValueExt;
use ndalbert::Precision;

use axes::{Frame, Ranges, Series};
use cli::Failure;
use drawing::{Anchor, Drawing, GRAY, Text};
use measure::{Measured, Setting};
use picture::Picture;
use table::{Align, Table};

/// Fine-tuned, with an exit after every layer, to choose the sentence that comes next.
const MODEL: &str = "albert-chinese-next-sentence";

const EXAMPLE: &str = "early_exit";

const OWN_HELP: &str = "\
\x20 --model DIR      a multiple-choice model or a sequence classifier with exits
                   [default: a small Chinese one that comes with this crate]
  --items FILE     what it is tried on, JSON lines: {\"prompt\", \"choices\",
                   \"label\"} or {\"text\", \"text_pair\", \"label\"}
                   [default: 200 next sentences that come with this crate]
  --limit N        the first N items
  --policy NAME    patience=3, confidence=0.8, entropy=0.5, agreement=1; may be
                   repeated [default: several of each]
  --precision P    f32, bf16 or int8 [default: f32]
  --threads N      [default: all]
  --rounds N       each setting is timed so often, in turns [default: 3]
  --alone N        items that are timed one by one [default: 100]
";

/// What is asked for.
pub struct Options {
    model: PathBuf,
    items: PathBuf,
    limit: usize,
    policies: Vec<String>,
    precision: Precision,
    threads: usize,
    rounds: usize,
    alone: usize,
    picture: Picture,
}

fn main() -> ExitCode {
    let what = "\
Shows what leaving early is worth: accuracy after each exit, and accuracy
against the time of the whole pipeline for several policies, beside the same
model cut off at a fixed depth. Draws both.";
    cli::main(&picture::help(EXAMPLE, what, OWN_HELP), parse, run)
}

fn run(options: Options, out: &mut dyn Write) -> Result<(), Failure> {
    rayon::ThreadPoolBuilder::new().num_threads(options.threads).build_global()?;
    let measured = measure::all(&options)?;
    let full = measured.iter().find(|row| row.setting == Setting::Whole).ok_or("no whole depth")?;
    writeln!(out, "{}", table(&measured, full))?;
    write!(out, "{}", by_layer(&measured))?;
    options.picture.save(&draw(&measured, full, &options), out)
}

/// A row for each setting; times as multiples of the whole depth's speed.
fn table(measured: &[Measured], full: &Measured) -> Table<7> {
    let mut table = Table::new([
        ("", Align::Left),
        ("right, %", Align::Right),
        ("layers", Align::Right),
        ("stream, s", Align::Right),
        ("times as fast", Align::Right),
        ("one by one, ms", Align::Right),
        ("times as fast", Align::Right),
    ]);
    for row in measured {
        table.row([
            row.setting.to_string(),
            format!("{:.1}", 100.0 * row.accuracy),
            format!("{:.2}", row.layers),
            format!("{:.3}", row.stream_s),
            format!("{:.2}", full.stream_s / row.stream_s),
            format!("{:.2}", 1e3 * row.alone_s),
            format!("{:.2}", full.alone_s / row.alone_s),
        ]);
    }
    table
}

/// Where policies err: of those that left after each layer, how many were right there, and would have been in the end.
fn by_layer(measured: &[Measured]) -> Table<5> {
    let mut table = Table::new([
        ("left after layer", Align::Left),
        ("", Align::Right),
        ("of the items, %", Align::Right),
        ("right, %", Align::Right),
        ("in the end, %", Align::Right),
    ]);
    for row in measured.iter().filter(|row| matches!(row.setting, Setting::Policy(_))) {
        for (i, left) in row.left.iter().enumerate() {
            let percent = |n: usize, of: usize| format!("{:.1}", 100.0 * n as f64 / of as f64);
            table.row([
                if i == 0 { row.setting.to_string() } else { String::new() },
                left.layer.to_string(),
                percent(left.items, row.items),
                percent(left.right, left.items),
                percent(left.right_in_the_end, left.items),
            ]);
        }
    }
    table
}

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 420.0;
const TOP: f64 = 150.0;

/// The picture leaves out settings that are further below the best than this; the table has them.
const SHOWN: f64 = 0.08;

/// Accuracy over speed: a line for each kind of setting.
fn draw(measured: &[Measured], full: &Measured, options: &Options) -> Drawing {
    let title = "Accuracy against speed, leaving early";
    let mut drawing = Drawing::new(WIDTH, TOP + HEIGHT, title);
    let text = |text: &str, at| Text { text: text.to_owned(), at, ..Text::default() };
    drawing.text(Text { size: 17.0, ..text(title, [20.0, 28.0]) });
    let what = format!(
        "{} items, {} in {}, {} threads",
        full.items,
        options.model.file_name().unwrap_or_default().to_string_lossy(),
        options.precision.name(),
        options.threads
    );
    drawing.text(Text { color: GRAY, ..text(&what, [20.0, 48.0]) });
    for (panel, (name, seconds)) in [
        ("stream", (|row| row.stream_s) as fn(&Measured) -> f64),
        ("one by one", |row| row.alone_s),
    ]
    .into_iter()
    .enumerate()
    {
        let series = series(measured, |row| seconds(full) / seconds(row));
        if panel == 0 {
            drawing.legend([20.0, 72.0], &series);
        }
        let left = 56.0 + 430.0 * panel as f64;
        let (right, bottom) = (left + 350.0, TOP + HEIGHT - 46.0);
        let frame = Frame { left, right, top: TOP + 16.0, bottom };
        drawing.text(text(&format!("right, % ({name})"), [left, TOP]));
        drawing.lines(&frame, &Ranges { x_step: 0.0, ..Ranges::of(&series) }, &series);
        let at = [(left + right) / 2.0, bottom + 36.0];
        let label = "times as fast as the whole depth";
        drawing.text(Text { anchor: Anchor::Middle, color: GRAY, ..text(label, at) });
    }
    drawing
}

fn series(measured: &[Measured], speed: impl Fn(&Measured) -> f64) -> Vec<Series> {
    let mut series: Vec<Series> = Vec::new();
    let best = measured.iter().map(|row| row.accuracy).fold(0.0, f64::max);
    for row in measured.iter().filter(|row| row.accuracy >= best - SHOWN) {
        let point = (speed(row), 100.0 * row.accuracy);
        let name = row.setting.kind();
        match series.iter_mut().find(|series| series.name == name) {
            Some(series) => series.points.push(point),
            None => series.push(Series { name, points: vec![point] }),
        }
    }
    series.iter_mut().for_each(|series| series.points.sort_by(|a, b| a.0.total_cmp(&b.0)));
    series
}

fn parse(arguments: lexopt::Parser) -> Result<Option<Options>, Failure> {
    let (mut model, mut items, mut policies) = (None, None, Vec::new());
    let (mut limit, mut rounds, mut alone, mut precision) = (usize::MAX, 3, 100, Precision::F32);
    let mut threads = std::thread::available_parallelism().map_or(1, usize::from);
    let picture = Picture::parse(EXAMPLE, arguments, |name, arguments| {
        match name {
            "model" => model = Some(arguments.value()?.into()),
            "items" => items = Some(arguments.value()?.into()),
            "limit" => limit = arguments.value()?.parse()?,
            "policy" => policies.push(arguments.value()?.string()?),
            "precision" => precision = arguments.value()?.parse()?,
            "threads" => threads = arguments.value()?.parse()?,
            "rounds" => rounds = arguments.value()?.parse()?,
            "alone" => alone = arguments.value()?.parse()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let Some(picture) = picture else { return Ok(None) };
    if [limit, rounds, alone, threads].contains(&0) {
        return Err("--limit, --rounds, --alone and --threads: expected at least 1".into());
    }
    let model = model.unwrap_or_else(|| checkpoint::shipped(MODEL));
    let items = items.unwrap_or_else(|| checkpoint::shipped("next-sentence").join("test.jsonl"));
    Ok(Some(Options { model, items, limit, policies, precision, threads, rounds, alone, picture }))
}
