//! The examples that draw: what they write can be read, and shows what the library computes.

use std::fs;
use std::path::Path;

use ndalbert::ndarray::{Array2, ArrayView1, Axis};
use ndalbert::{Albert, AlbertOutput, AlbertTokenizer, Batch, OutputOptions, PreTrainedModel};
use roxmltree::Document;

use crate::common::example::{Run, fail, path, run, succeed};
use crate::place::Place;

const DEMO: &str = "examples/data/albert-chinese-demo";

/// Runs an example that writes a picture into a place, and gives what it said and all texts of the SVG.
fn draw(place: &Place, example: &str, arguments: &[&str]) -> (Run, Vec<String>) {
    let output = place.path(example);
    let run = succeed(example, &[arguments, &["--output", &output]].concat());
    (run, check(&output))
}

/// Checks a pair of files, and gives the texts of the SVG.
fn check(output: &str) -> Vec<String> {
    let svg = fs::read_to_string(format!("{output}.svg")).unwrap();
    let document = Document::parse(&svg).unwrap();
    let root = document.root_element();
    let [width, height] = ["width", "height"].map(|name| root.attribute(name).unwrap());
    assert_eq!(root.attribute("viewBox").unwrap(), format!("0 0 {width} {height}"));
    let [width, height]: [f64; 2] = [width, height].map(|size| size.parse().unwrap());
    for element in root.descendants().filter(|node| node.has_tag_name("text")) {
        let [x, y]: [f64; 2] =
            ["x", "y"].map(|name| element.attribute(name).unwrap().parse().unwrap());
        assert!((0.0..width).contains(&x) && (0.0..height).contains(&y), "{:?}", element.text());
    }

    let png = fs::read(format!("{output}.png")).unwrap();
    assert_eq!(&png[..16], b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
    let size = [16, 20].map(|place| u32::from_be_bytes(png[place..place + 4].try_into().unwrap()));
    assert_eq!(size.map(f64::from), [width, height].map(|size| (2.0 * size).ceil()));

    let names = ["svg", "title", "path", "polyline", "text"];
    assert!(root.descendants().filter(|node| node.is_element()).all(|node| {
        names.iter().any(|name| node.has_tag_name(("http://www.w3.org/2000/svg", *name)))
    }));
    let texts = root.descendants().filter(|node| node.has_tag_name("text"));
    texts.map(|node| node.text().unwrap_or_default().to_owned()).collect()
}

fn count(texts: &[String], text: &str) -> usize {
    texts.iter().filter(|found| *found == text).count()
}

/// What the demo model makes of texts.
fn forward(texts: &[&str]) -> AlbertOutput {
    let tokenizer = AlbertTokenizer::from_pretrained(path(DEMO)).unwrap();
    let (albert, _) = Albert::from_pretrained(path(DEMO)).unwrap();
    let batch = Batch::from_encodings(&tokenizer.encode_batch(texts).unwrap()).unwrap();
    albert.forward_with(&batch, OutputOptions { hidden_states: true, attentions: true }).unwrap()
}

fn cosine(a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>) -> f32 {
    a.dot(&b) / (a.dot(&a) * b.dot(&b)).sqrt()
}

#[test]
fn pictures_are_drawn_without_arguments() {
    for example in ["attention_map", "layer_dynamics", "similarity_matrix"] {
        let run = succeed(example, &[]);
        let place = path("target/pictures").join(example);
        let place = place.to_str().unwrap();
        assert!(run.stdout.contains(&format!("Written to {place}.svg and {place}.png")));
        // Without a Chinese font, the only message is about that.
        assert!(
            run.stderr.lines().all(|line| line.starts_with("No font here has ")),
            "{}",
            run.stderr
        );
        check(place);
    }
}

#[test]
fn attention_map_has_a_field_for_every_head_and_layer() {
    let place = Place::new();
    let (_, texts) = draw(&place, "attention_map", &["--text", "他喝茶。"]);
    for layer in 1..=6 {
        assert_eq!(count(&texts, &format!("layer {layer}")), 1);
    }
    for head in 1..=4 {
        assert_eq!(count(&texts, &format!("head {head}")), 1);
    }
    // For each layer as a row, and as a column of every head.
    for token in ["[CLS]", "他", "喝", "茶", "。", "[SEP]"] {
        assert_eq!(count(&texts, token), 6 * (1 + 4), "{token}");
    }
    assert_eq!(count(&texts, "head 5") + count(&texts, "layer 7"), 0);
}

#[test]
fn attention_map_shows_what_the_model_computes() {
    let place = Place::new();
    let chosen = ["--text", "他喝茶。", "--layers", "3", "--heads", "2,4"];
    let (_, texts) = draw(&place, "attention_map", &chosen);
    let numbers: Vec<&String> =
        texts.iter().filter(|text| text.len() == 4 && text[1..2] == *".").collect();
    let layer = forward(&["他喝茶。"]).attentions[2].sequence(0);
    let heads = [1, 3].map(|head| layer.index_axis(Axis(0), head).to_owned());
    let expected: Vec<String> = heads.iter().flatten().map(|p| format!("{p:.2}")).collect();
    assert_eq!(numbers, expected.iter().collect::<Vec<_>>());
    assert_eq!(
        (count(&texts, "layer 3"), count(&texts, "head 2"), count(&texts, "head 1")),
        (1, 1, 0)
    );

    let (_, texts) =
        draw(&place, "attention_map", &["--text", "他", "--pair", "茶", "--layers", "1"]);
    assert_eq!(count(&texts, "[SEP]"), 2 * (1 + 4));
    assert_eq!(count(&texts, "他 | 茶"), 1);
}

#[test]
fn hostile_tokens_are_text() {
    let place = Place::new();
    for file in ["config.json", "model.safetensors", "tokenizer_config.json"] {
        fs::copy(path(DEMO).join(file), place.path(file)).unwrap();
    }
    let token = r#"</text>&<script>"x"'</svg>]]>"#;
    place.head("albert-chinese-demo/vocab.txt", 5999, "vocab.txt");
    place.write("added_tokens.json", &serde_json::json!({ token: 5999 }).to_string());
    let model =
        Path::new(&place.path("config.json")).parent().unwrap().to_str().unwrap().to_owned();

    let text = format!("{token}\u{1}\u{202e}\u{fffe}茶{}", "长".repeat(40));
    let arguments = ["--model", &model, "--text", &text];
    let (_, texts) = draw(&place, "attention_map", &[&arguments[..], &["--heads", "1"]].concat());
    // Long names are cut, as are titles.
    assert!(
        texts.iter().any(|text| text.starts_with("</text>&<s") && text.ends_with('…')),
        "{texts:?}"
    );
    assert!(texts[0].starts_with(&format!("{token}\u{fffd}\u{fffd}\u{fffd}茶长")), "{}", texts[0]);
    assert!(texts[0].ends_with('…'));
    let (_, texts) =
        draw(&place, "similarity_matrix", &[&arguments[..], &["--text", token]].concat());
    assert!(texts.iter().any(|text| text.starts_with(token)), "{texts:?}");
}

#[test]
fn similarity_matrix_shows_cosines() {
    let place = Place::new();
    let lines = place.write("texts.txt", "他喝茶。\n\n 你吃饭了吗?\r\n训练模型。");
    let output = forward(&["他喝茶。", "你吃饭了吗?", "训练模型。"]);
    let states = || output.last_hidden_state.sequences();
    let pooled = output.pooler_output.as_ref().unwrap();
    for (pooling, vectors) in [
        ("mean", states().map(|states| states.mean_axis(Axis(0)).unwrap()).collect::<Vec<_>>()),
        ("cls", states().map(|states| states.row(0).to_owned()).collect()),
        ("pooler", pooled.outer_iter().map(|row| row.to_owned()).collect()),
    ] {
        let (_, texts) =
            draw(&place, "similarity_matrix", &["--texts", &lines, "--pooling", pooling]);
        let cosines =
            Array2::from_shape_fn((3, 3), |(a, b)| cosine(vectors[a].view(), vectors[b].view()));
        let expected: Vec<String> = cosines.iter().map(|cosine| format!("{cosine:.2}")).collect();
        let found = texts.windows(9).any(|texts| texts == expected);
        assert!(found, "{pooling}: {expected:?} in {texts:?}");
        assert_eq!(count(&texts, "你吃饭了吗?  2"), 1);
    }
}

#[test]
fn layer_dynamics_shows_distances_and_angles() {
    let place = Place::new();
    let demo = path(DEMO);
    let model = ["--model", demo.to_str().unwrap(), "--text", "他喝茶。", "--text", "训练模型。"];
    let (run, texts) = draw(&place, "layer_dynamics", &model);
    let states = forward(&["他喝茶。", "训练模型。"]).hidden_states;
    let rows: Vec<&str> = run.stdout.lines().skip(2).take(6).collect();
    for (states, row) in states.windows(2).zip(rows) {
        let (input, output) = (states[0].rows(), states[1].rows());
        let tokens = input.nrows() as f32;
        let pairs = || input.outer_iter().zip(output.outer_iter());
        let distances = pairs().map(|(a, b)| (&a - &b).mapv(|x| x * x).sum().sqrt());
        let angles = pairs().map(|(a, b)| cosine(a, b).acos().to_degrees());
        let expected = [distances.sum::<f32>() / tokens, angles.sum::<f32>() / tokens];
        let found: Vec<f32> = row
            .split_whitespace()
            .skip(2)
            .map(|number| number.trim_end_matches('°').parse().unwrap())
            .collect();
        let is_near = |(a, b): (&f32, &f32)| (a - b).abs() < 0.06;
        assert!(found.iter().zip(&expected).all(is_near), "{row}: {expected:?}");
    }
    assert_eq!(count(&texts, "albert-chinese-demo"), 1);
}

#[test]
fn layer_dynamics_compares_models_and_goes_on() {
    let place = Place::new();
    let more = ["--untrained", "--preset", "chinese-tiny", "--layers", "9", "--text", "他喝茶。"];
    let demo = path(DEMO);
    let more = [&["--model", demo.to_str().unwrap()], &more[..]].concat();
    let (run, texts) = draw(&place, "layer_dynamics", &more);
    for (name, layers) in [
        ("albert-chinese-demo", 9),
        ("albert-chinese-demo: untrained, one shared layer", 9),
        ("albert-chinese-demo: untrained, nothing shared", 9),
        ("chinese-tiny: untrained, on random tokens", 4),
    ] {
        assert_eq!(count(&texts, name), 1, "{name}");
        let rows = run.stdout.lines().filter(|row| row.starts_with(&format!("  {name}  ")));
        assert_eq!(rows.count(), layers, "{name}: {}", run.stdout);
    }
}

#[test]
fn pictures_without_fonts_have_boxes_and_say_so() {
    let place = Place::new();
    let (fonts, output) = (place.path("fonts"), place.path("picture.png"));
    fs::create_dir(&fonts).unwrap();
    let temporary = tempfile::tempdir().unwrap();
    let without = run("similarity_matrix", &["--fonts", &fonts, "--output", &output], &temporary);
    assert_eq!(without.code, Some(0), "{}", without.stderr);
    assert!(without.stderr.starts_with("No font here has "), "{}", without.stderr);
    assert!(without.stderr.contains("--fonts"), "{}", without.stderr);
    check(&place.path("picture"));
}

#[test]
fn pictures_that_cannot_be_drawn_are_refused() {
    let place = Place::new();
    let (empty, file) = (place.write("empty.txt", "\n"), place.write("file", ""));
    fail("attention_map", &["--layers", "7"], &["--layers", "1 to 6", "7"]);
    fail("attention_map", &["--heads", "0"], &["--heads", "1 to 4", "0"]);
    fail("attention_map", &["--heads", "3-1"], &["ranges"]);
    fail("attention_map", &["--text", &"茶".repeat(490)], &["492 tokens", "--layers"]);
    fail("attention_map", &["--scale", "0"], &["--scale"]);
    fail("attention_map", &["--fonts", "/nowhere"], &["--fonts", "/nowhere"]);
    fail("attention_map", &["--output", &format!("{file}/picture")], &[&file]);
    fail("similarity_matrix", &["--pooling", "max"], &["mean, cls or pooler"]);
    fail("similarity_matrix", &["--texts", &empty], &["empty.txt", "no text"]);
    fail("similarity_matrix", &["--texts", "/nowhere.txt"], &["/nowhere.txt"]);
    fail("layer_dynamics", &["--preset", "huge"], &["preset", "huge", "bert-base"]);
    fail("layer_dynamics", &["--layers", "0"], &["num_hidden_layers"]);
    fail("layer_dynamics", &["--model", "no-such-directory"], &["no-such-directory"]);
}
