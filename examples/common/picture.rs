//! What all examples that draw have in common: where pictures go, and how they get there.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use lexopt::prelude::*;

use super::cli::Failure;
use super::drawing::Drawing;
use super::png::{Png, pixels};

/// Where a picture goes, as SVG and as PNG.
pub struct Picture {
    /// Without extension.
    output: PathBuf,
    /// Pixels of the PNG per unit of the SVG.
    scale: f32,
    /// A file or directory, for those of the system.
    fonts: Option<PathBuf>,
}

/// The help of an example, whose own options are `own`.
pub fn help(example: &str, what: &str, own: &str) -> String {
    format!(
        "\
{what}

Usage: {example} [OPTIONS]

{own}\
\x20 --output PATH   writes PATH.svg and PATH.png
                  [default: target/pictures/{example}]
  --scale N       pixels of the PNG per unit of the SVG, at most [default: 2]
  --fonts PATH    a font or a directory of fonts for the PNG
                  [default: those of the system]
  --help
"
    )
}

impl Picture {
    /// That of the arguments, of which `own` takes those that are the example's own; nothing if the user asks for help.
    pub fn parse(
        example: &str,
        mut arguments: lexopt::Parser,
        mut own: impl FnMut(&str, &mut lexopt::Parser) -> Result<bool, Failure>,
    ) -> Result<Option<Self>, Failure> {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
        let output = target.join("pictures").join(example);
        let mut picture = Self { output, scale: 2.0, fonts: None };
        while let Some(argument) = arguments.next()? {
            let name = match &argument {
                Long(name) => (*name).to_owned(),
                _ => return Err(argument.unexpected().into()),
            };
            match name.as_str() {
                "help" => return Ok(None),
                "output" => picture.output = without_extension(arguments.value()?.into()),
                "scale" => picture.scale = arguments.value()?.parse()?,
                "fonts" => picture.fonts = Some(arguments.value()?.into()),
                name if own(name, &mut arguments)? => {}
                name => return Err(format!("invalid option '--{name}'").into()),
            }
        }
        if !(0.1..=16.0).contains(&picture.scale) {
            return Err("--scale: expected a number from 0.1 to 16".into());
        }
        Ok(Some(picture))
    }

    /// Writes both files, and says so.
    pub fn save(&self, drawing: &Drawing, out: &mut dyn Write) -> Result<(), Failure> {
        let [svg, png] = ["svg", "png"].map(|extension| self.file(extension));
        if let Some(directory) = svg.parent() {
            fs::create_dir_all(directory).map_err(failed(directory))?;
        }
        fs::write(&svg, drawing.to_svg()).map_err(failed(&svg))?;
        let Png { bytes, width, height, missing } =
            pixels(drawing, self.scale, self.fonts.as_deref())?;
        fs::write(&png, bytes).map_err(failed(&png))?;
        tell_missing(&missing);
        let (svg, png) = (svg.display(), png.display());
        Ok(writeln!(out, "Written to {svg} and {png} ({width} × {height} pixels).")?)
    }

    fn file(&self, extension: &str) -> PathBuf {
        let mut file = self.output.clone().into_os_string();
        file.push(".");
        file.push(extension);
        file.into()
    }
}

/// `PATH` of `PATH.svg` and `PATH.png`; other dots belong to the name.
fn without_extension(path: PathBuf) -> PathBuf {
    match path.extension() {
        Some(extension) if extension == "svg" || extension == "png" => path.with_extension(""),
        _ => path,
    }
}

fn failed(path: &Path) -> impl Fn(std::io::Error) -> String {
    move |error| format!("{}: {error}", path.display())
}

/// Says which characters the PNG lacks; a viewer of the SVG may have them.
fn tell_missing(missing: &BTreeSet<char>) {
    if missing.is_empty() {
        return;
    }
    let shown: String = missing.iter().take(20).collect();
    eprintln!(
        "No font here has {} of the characters ({shown}{}): the PNG has boxes instead. Install a font that has \
         them, such as Noto Sans CJK for Chinese, or name one with --fonts.",
        missing.len(),
        if missing.len() > 20 { "…" } else { "" }
    );
}
