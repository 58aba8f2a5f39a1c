//! Whatever a pipeline is given, there is an answer or an error that says what is wrong.

use ndalbert::pipelines::{
    FillMask, Function, MultipleChoice, Pipeline, PipelineOptions, SentenceEmbedding,
    SentenceOrder, TextClassification, ZeroShotClassification, resolve,
};
use ndalbert::{
    AlbertConfig, AlbertForMaskedLM, AlbertForMultipleChoice, AlbertForSentenceOrder,
    AlbertForSequenceClassification, AlbertTokenizer, Error, LoadOptions, Model, Parameters,
    PreTrainedModel, Precision, Truncation, TruncationStrategy,
};
use serde_json::json;

use crate::support::{copy, demo, fixture, patched, root, tokenizer};

const TEXTS: [&str; 14] = [
    "",
    " ",
    "\n\t\u{3000}",
    "\0",
    "\u{FEFF}",
    "\u{200B}",
    "\u{FFFD}",
    "🙂",
    "👩‍👩‍👧‍👦🏽",
    "e\u{301}\u{301}\u{301}",
    "ﷺ",
    "[CLS] [SEP] [PAD] [UNK] [MASK]",
    "\u{10FFFF}",
    "a\u{202E}b",
];

#[test]
fn any_text_has_an_answer() {
    let long = "深度学习 hello 🙂 ".repeat(120);
    let texts = || TEXTS.into_iter().chain([long.as_str()]);
    let classify = TextClassification::from_pretrained(fixture("classifier")).unwrap();
    let pairs = texts().flat_map(|one| texts().map(move |other| (one, other)));
    assert!(texts().all(|text| classify.run(text).is_ok()));
    assert!(classify.stream(pairs.clone()).all(|output| output.is_ok()));
    let zero = ZeroShotClassification::from_pretrained(fixture("classifier")).unwrap();
    let inputs = texts().map(|text| (text, TEXTS));
    assert!(zero.stream(inputs).all(|output| output.unwrap().len() == TEXTS.len()));
    let order = SentenceOrder::from_pretrained(demo()).unwrap();
    assert!(
        order
            .stream(texts().map(|text| (text, "")).chain(texts().map(|text| ("", text))))
            .all(|o| o.is_ok())
    );
    let embed = SentenceEmbedding::from_pretrained(demo()).unwrap();
    assert!(embed.stream(texts()).all(|output| output.is_ok()));
    let choose = MultipleChoice::from_pretrained(next_sentence()).unwrap();
    assert!(texts().all(|text| choose.run((text, TEXTS)).unwrap().len() == TEXTS.len()));
    let fill = FillMask::from_pretrained(demo()).unwrap();
    for text in texts() {
        assert_eq!(fill.run(text).is_ok(), text.contains("[MASK]"), "{text:?}");
    }
}

fn next_sentence() -> std::path::PathBuf {
    root().join("examples/data/albert-chinese-next-sentence")
}

#[track_caller]
fn says<T>(result: Result<T, Error>, expected: &str) {
    let error = result.err().expect("an error").to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_text_without_a_mask_is_an_error() {
    let fill = FillMask::from_pretrained(demo()).unwrap();
    says(
        fill.run("北京是中国的首都."),
        "text: expected at least one [MASK], found none in 11 tokens",
    );
    let behind = "北京".repeat(300) + "[MASK]";
    says(fill.run(behind), "none in 512 tokens before the text is cut");
    assert!(fill.top_k(0).run("[MASK]").unwrap()[0].is_empty());
}

#[test]
fn so_many_masks_that_scores_of_the_vocabulary_come_in_parts() {
    let fill = FillMask::from_pretrained(demo()).unwrap().top_k(3);
    let many = "[MASK]".repeat(150);
    let together = fill.run_many([many.as_str(), "[MASK]都", &many]);
    let together: Vec<_> = together.into_iter().map(Result::unwrap).collect();
    assert_eq!(together.iter().map(Vec::len).collect::<Vec<_>>(), [150, 1, 150]);
    assert!(together[0] == together[2] && together[1] == fill.run("[MASK]都").unwrap());
}

#[test]
fn more_words_than_there_are_is_all_of_them() {
    let fill = FillMask::from_pretrained(demo()).unwrap().top_k(usize::MAX);
    let words = &fill.run("[MASK]").unwrap()[0];
    // The model has more rows than its vocabulary has words; those have no text.
    assert_eq!(words.len(), fill.model().config().vocab_size);
    let total: f32 = words.iter().map(|word| word.score).sum();
    assert!((total - 1.0).abs() < 1e-3, "{total}");
    let nameless = words.iter().find(|word| fill.tokenizer().id_to_token(word.token).is_none());
    assert!(nameless.is_none_or(|word| word.token_str.is_empty()));
}

#[test]
fn targets_are_checked() {
    let fill = || FillMask::from_pretrained(demo()).unwrap();
    says(fill().targets(&[""]), "targets: expected at least one word");
    let none: [&str; 0] = [];
    says(fill().targets(&none), "targets: expected at least one word");
    let (model, _) = AlbertForMaskedLM::from_pretrained(fixture("masked_lm")).unwrap();
    let fill = FillMask::new(model, tokenizer("chinese")).unwrap();
    let far = fill.tokenizer().id_to_token(3000).unwrap();
    says(fill.targets(&[far]), "ids below vocab_size = 2000");
}

#[test]
fn no_choice_is_an_error_and_one_is_certain() {
    let choose = MultipleChoice::from_pretrained(next_sentence()).unwrap();
    let none: [&str; 0] = [];
    says(choose.run(("你吃饭了吗?", none)), "choices: expected at least one, found none");
    let one = choose.run(("你吃饭了吗?", ["吃了."])).unwrap();
    assert_eq!((one.len(), one[0].index, one[0].score), (1, 0, 1.0));
    let owned = vec!["吃了.".to_owned(), "吃了.".to_owned()];
    let same = choose.run(("你吃饭了吗?", &owned)).unwrap();
    assert_eq!([same[0].index, same[1].index], [0, 1], "of equals, the first comes first");
    let results = choose.run_many([("a", vec![]), ("b", vec!["c"])]);
    assert!(results[0].is_err() && results[1].is_ok());
}

#[test]
fn labels_of_zero_shot_classification_are_needed() {
    let zero = || ZeroShotClassification::from_pretrained(fixture("classifier")).unwrap();
    says(zero().run("hello"), "labels: expected at least one, found none");
    assert_eq!(zero().labels(["one"]).run(("hello", ["two", "three"])).unwrap().len(), 2);
    says(zero().hypothesis_template("It is about it."), "hypothesis template: expected a {}");
    let twice = zero().hypothesis_template("{} and {}").unwrap().run(("hello", ["a", "b"]));
    assert_eq!(twice.unwrap().len(), 2);
    // Only the text is cut, and it is too short for that.
    says(zero().run(("hello", ["word ".repeat(50)])), "too short");
}

#[test]
fn entailment_has_to_be_among_the_labels() {
    let nameless = json!({"id2label": null, "label2id": null, "num_labels": 3});
    let directory = patched(&fixture("classifier"), &nameless);
    let load = || ZeroShotClassification::from_pretrained(directory.path()).unwrap();
    says(load().run(("hello", ["a"])), "id2label: expected a label that begins with `entail`");
    says(load().entailment_id(3), "entailment_id: expected a class below num_labels = 3");
    let named = ZeroShotClassification::from_pretrained(fixture("classifier")).unwrap();
    let input = ("hello", ["a", "b"]);
    assert_eq!(load().entailment_id(2).unwrap().run(input).unwrap(), named.run(input).unwrap());
}

#[test]
fn labels_that_a_config_lacks_are_made_up() {
    let nameless = json!({"id2label": null, "label2id": null, "num_labels": 3});
    let directory = patched(&fixture("classifier"), &nameless);
    let classify = TextClassification::from_pretrained(directory.path()).unwrap().top_k(None);
    let mut labels: Vec<String> =
        classify.run("hello").unwrap().into_iter().map(|class| class.label).collect();
    labels.sort();
    assert_eq!(labels, ["LABEL_0", "LABEL_1", "LABEL_2"]);
    assert!(classify.top_k(0).run("hello").unwrap().is_empty());
}

/// A model of which a parameter is not finite.
fn broken<M: PreTrainedModel>(directory: &std::path::Path, parameter: &str, value: f32) -> M {
    let (config, mut parameters, _) =
        M::load_parameters(directory, &LoadOptions::new().seed(1)).unwrap();
    let mut found = false;
    parameters.visit_mut("", &mut |name, mut values| {
        if name.ends_with(parameter) {
            values.fill(value);
            found = true;
        }
    });
    assert!(found, "{parameter}");
    M::from_parameters(config, parameters).unwrap()
}

#[test]
fn numbers_that_are_none_are_an_error() {
    let wordpiece = || tokenizer("wordpiece");
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let expected = "expected finite numbers, found";
        let model = || broken(&fixture("classifier"), "classifier.bias", value);
        for function in [Function::Softmax, Function::Sigmoid, Function::None] {
            let classify = TextClassification::new(model(), wordpiece()).unwrap();
            let results = classify.function(function).run_many(["hello", ""]);
            results.into_iter().for_each(|result| says(result, expected));
        }
        let zero = ZeroShotClassification::new(model(), wordpiece()).unwrap();
        says(zero.run(("hello", ["a", "b"])), expected);
        let model: AlbertForMaskedLM = broken(&demo(), "predictions.bias", value);
        let vocabulary = AlbertTokenizer::from_pretrained(demo()).unwrap();
        says(FillMask::new(model, vocabulary.clone()).unwrap().run("[MASK]"), expected);
        let model: AlbertForMultipleChoice = broken(&next_sentence(), "classifiers.3.bias", value);
        says(MultipleChoice::new(model, vocabulary.clone()).unwrap().run(("", [""])), expected);
        let model: AlbertForSentenceOrder = broken(&demo(), "classifier.bias", value);
        says(SentenceOrder::new(model, vocabulary.clone()).unwrap().run(("", "")), expected);
        let model = broken(&demo(), "full_layer_layer_norm.bias", value);
        says(SentenceEmbedding::new(model, vocabulary).unwrap().run(""), expected);
    }
}

#[test]
fn a_checkpoint_without_the_head_is_refused() {
    says(
        TextClassification::from_pretrained(demo()),
        "tensor `classifier.weight`: expected a tensor, which AlbertForSequenceClassification needs",
    );
    says(MultipleChoice::from_pretrained(demo()), "classifier.weight");
    says(SentenceOrder::from_pretrained(next_sentence()), "sop_classifier");
    says(FillMask::from_pretrained(next_sentence()), "predictions");
    let options = PipelineOptions::new().initialize_missing_head(true);
    let classify = TextClassification::from_pretrained_with(demo(), &options).unwrap();
    assert_eq!(classify.load_report().unwrap().newly_initialized.len(), 2);
    assert!(classify.run("你好").is_ok());
}

#[test]
fn texts_are_cut_to_what_was_asked_for_and_never_to_more_than_the_model_takes() {
    let length = |classify: TextClassification| {
        classify.prepare("hello ".repeat(600).into()).unwrap().num_tokens()
    };
    let load = |options: PipelineOptions| {
        TextClassification::from_pretrained_with(fixture("classifier"), &options)
    };
    assert_eq!(length(load(PipelineOptions::new()).unwrap()), 40);
    assert_eq!(length(load(PipelineOptions::new().max_length(7)).unwrap()), 7);
    assert_eq!(length(load(PipelineOptions::new().max_length(700)).unwrap()), 40);
    says(load(PipelineOptions::new().max_length(1)), "max_length: expected at least 2");
    // Explicit options override the tokenizer's files, which override the defaults.
    let said = copy(&fixture("classifier"));
    let config = r#"{"tokenizer_class": "BertTokenizer", "model_max_length": 10}"#;
    std::fs::write(said.path().join("tokenizer_config.json"), config).unwrap();
    let load = |options: PipelineOptions| {
        TextClassification::from_pretrained_with(said.path(), &options).unwrap()
    };
    assert_eq!(length(load(PipelineOptions::new())), 10);
    assert_eq!(length(load(PipelineOptions::new().max_length(20))), 20);
    // A tokenizer that is set keeps how it cuts.
    let truncation = Truncation { max_length: 12, strategy: TruncationStrategy::OnlySecond };
    let tokenizer = tokenizer("wordpiece").with_truncation(truncation).unwrap();
    let (model, _) =
        AlbertForSequenceClassification::from_pretrained(fixture("classifier")).unwrap();
    let classify = TextClassification::new(model, tokenizer).unwrap();
    let prepared = classify.prepare(("hello hello", "world ".repeat(50)).into()).unwrap();
    assert_eq!(
        prepared.encodings[0].ids.iter().filter(|&&id| id == prepared.encodings[0].ids[1]).count(),
        2
    );
    assert_eq!(classify.tokenizer().truncation(), Some(truncation));
}

#[test]
fn a_model_too_short_for_special_tokens_is_refused() {
    let fields = AlbertConfig::from_pretrained(fixture("classifier")).unwrap().to_fields();
    let config = AlbertConfig::new(ndalbert::ConfigFields { max_position_embeddings: 1, ..fields });
    let model = AlbertForSequenceClassification::from_config(config.unwrap(), 1).unwrap();
    says(TextClassification::new(model, tokenizer("wordpiece")), "max_length");
    let fields = AlbertConfig::from_pretrained(fixture("classifier")).unwrap().to_fields();
    let config = AlbertConfig::new(ndalbert::ConfigFields { max_position_embeddings: 2, ..fields });
    let model = AlbertForSequenceClassification::from_config(config.unwrap(), 1).unwrap();
    let classify = TextClassification::new(model, tokenizer("wordpiece")).unwrap();
    let results = classify.run_many([("hello", "world")]);
    says(results.into_iter().next().unwrap(), "input 0: max_length: expected at least 3");
    assert!(classify.run("hello").is_ok());
}

#[test]
fn precision_is_an_option() {
    let text = "我们可以使用神经网[MASK]。";
    let expected = FillMask::from_pretrained(demo()).unwrap().run(text).unwrap();
    for precision in [Precision::Bf16, Precision::Int8] {
        let options = PipelineOptions::new().precision(precision);
        let fill = FillMask::from_pretrained_with(demo(), &options).unwrap();
        assert_eq!(fill.model().precision(), precision);
        assert_eq!(fill.run(text).unwrap()[0][0].token_str, expected[0][0].token_str);
    }
}

/// Without the feature `hub`, whose tests have a server to ask.
#[cfg(not(feature = "hub"))]
#[test]
fn names_are_those_of_directories() {
    says(resolve("voidful/albert_chinese_small"), "built with its feature `hub`");
    says(TextClassification::from_pretrained("albert/none"), "albert/none: no such directory");
}

#[test]
fn names_are_directories() {
    assert_eq!(resolve(demo()).unwrap(), demo());
    says(resolve("/no/such/directory"), "No such file or directory");
    says(resolve(""), "\"\"");
    says(resolve(demo().join("config.json")), "expected a checkpoint's directory");
}
