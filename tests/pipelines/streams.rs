//! Iterators in and out: order, groups, errors, progress, and how far ahead inputs are read.

use std::cell::Cell;
use std::sync::Mutex;

use ndalbert::pipelines::{
    Classification, FillMask, Group, Pipeline, PipelineOptions, Prepared, Progress,
    TextClassification,
};
use ndalbert::{Error, PreTrainedModel, Result};

use crate::support::{demo, fixture, tokenizer};

/// Classifies, and keeps book of its groups' tokens. Some texts fail: `refused` in the tokenizer,
/// those with the token `could` in the model, and those of nine tokens there with all that are in
/// it with them.
struct Watched {
    classify: TextClassification,
    budget: usize,
    groups: Mutex<Vec<usize>>,
}

impl Watched {
    fn new(budget: usize) -> Self {
        let classify = TextClassification::from_pretrained(fixture("classifier")).unwrap();
        Self { classify, budget, groups: Mutex::new(Vec::new()) }
    }
}

impl Pipeline for Watched {
    type Input = String;
    type Output = Vec<Classification>;
    type Kept = ();

    fn prepare(&self, text: String) -> Result<Prepared<()>> {
        if text == "refused" {
            return Err(Error::Tokenizer("refused".into()));
        }
        self.classify.prepare(text.into())
    }

    fn infer(&self, group: Group<'_, ()>) -> Result<Vec<Result<Self::Output>>> {
        if group.0.iter().any(|prepared| prepared.encodings[0].len() == 9) {
            return Err(Error::Tokenizer("nine tokens".into()));
        }
        self.groups.lock().unwrap().push(group.batch()?.num_tokens());
        let is_bad = |prepared: &Prepared<()>| prepared.encodings[0].tokens[1] == "could";
        let outputs = self.classify.infer(group)?;
        let one = |(output, prepared)| match is_bad(prepared) {
            true => Err(Error::Tokenizer("could".into())),
            false => output,
        };
        Ok(outputs.into_iter().zip(group.0).map(one).collect())
    }

    fn tokens_per_batch(&self) -> usize {
        self.budget
    }
}

/// Texts of 2 to 38 tokens, none of them of nine.
fn texts(count: usize) -> Vec<String> {
    let words = |i: usize| match i * 7 % 37 {
        7 => 8,
        words => words,
    };
    (0..count).map(|i| "compiler ".repeat(words(i))).collect()
}

#[test]
fn groups_are_as_large_as_the_budget_allows_and_keep_their_order() {
    let alone = Watched::new(0);
    let expected: Vec<_> = texts(300).iter().map(|text| alone.run(text).unwrap()).collect();
    for budget in [0, 1, 39, 100, 1000, usize::MAX] {
        let watched = Watched::new(budget);
        let texts = texts(300);
        let found: Vec<_> = watched.stream(&texts).map(Result::unwrap).collect();
        assert!(found == expected, "budget {budget}");
        let groups = watched.groups.into_inner().unwrap();
        let sizes =
            texts.iter().map(|text| text.split_whitespace().count() + 2).collect::<Vec<_>>();
        assert_eq!(groups, greedy(&sizes, budget), "budget {budget}");
    }
}

/// The sums of as many sizes as a budget allows for, from the first on.
fn greedy(sizes: &[usize], budget: usize) -> Vec<usize> {
    let mut groups: Vec<usize> = Vec::new();
    for &size in sizes {
        match groups.last_mut() {
            Some(sum) if *sum + size <= budget => *sum += size,
            _ => groups.push(size),
        }
    }
    groups
}

#[test]
fn an_input_that_fails_does_not_lose_the_others() {
    let nine_tokens = "compiler ".repeat(7);
    let inputs = ["refused", "error", "could", "library", &nine_tokens, "match", "refused"];
    let expected = [
        Some("input 0: tokenizer: refused"),
        None,
        Some("input 2: tokenizer: could"),
        None,
        Some("input 4: tokenizer: nine tokens"),
        None,
        Some("input 6: tokenizer: refused"),
    ];
    for budget in [0, 8, 1000] {
        let watched = Watched::new(budget);
        let results = watched.run_many(inputs);
        for (i, (result, expected)) in results.iter().zip(expected).enumerate() {
            match result {
                Ok(output) => assert_eq!(*output, watched.classify.run(inputs[i]).unwrap()),
                Err(error) => assert!(matches!(error, Error::Item { index, .. } if *index == i)),
            }
            let error = result.as_ref().err().map(ToString::to_string);
            assert_eq!(error.as_deref(), expected, "budget {budget}");
        }
        assert_eq!(results.len(), inputs.len());
    }
}

#[test]
fn one_input_fails_as_it_is() {
    let error = Watched::new(1).run("refused").unwrap_err();
    assert!(matches!(error, Error::Tokenizer(_)), "{error:?}");
}

#[test]
fn an_id_that_the_model_lacks_fails_alone() {
    // The tokenizer has 3867 tokens, and the model 524.
    let model = PreTrainedModel::from_pretrained(fixture("classifier")).unwrap().0;
    let classify = TextClassification::new(model, tokenizer("chinese")).unwrap();
    let results = classify.run_many(["[UNK]", "深度", "", "学习"]);
    let failed: Vec<bool> = results.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, true, false, true]);
    let error = results[3].as_ref().unwrap_err().to_string();
    assert!(
        error.starts_with("input 3: input_ids[0, 1]: expected an id below vocab_size = 524"),
        "{error}"
    );
}

#[test]
fn inputs_are_read_no_further_than_needed() {
    for (budget, most) in [(0, 1), (100, 40), (8192, 1000), (usize::MAX, usize::MAX)] {
        let watched = Watched::new(budget);
        let read = Cell::new(0);
        let inputs = texts(2000).into_iter().inspect(|_| read.set(read.get() + 1));
        let mut stream = watched.stream(inputs);
        assert_eq!(read.get(), 0);
        let mut given = 0;
        while let Some(output) = stream.next() {
            output.unwrap();
            assert!(read.get() - given <= most, "budget {budget}: {} for {given}", read.get());
            given += 1;
            assert_eq!(stream.size_hint(), (2000 - given, Some(2000 - given)));
        }
        assert_eq!((given, read.get()), (2000, 2000));
        assert!(stream.next().is_none());
    }
}

#[test]
fn inputs_need_not_end() {
    let watched = Watched::new(500);
    let some = watched.stream((0..).map(|i| format!("error {i}"))).skip(1000).take(3);
    assert_eq!(some.map(Result::unwrap).count(), 3);
    let nothing: [&str; 0] = [];
    assert!(watched.run_many(nothing).is_empty());
    assert!(watched.stream((0..).map(|_| "refused")).take(5000).all(|output| output.is_err()));
}

#[test]
fn progress_counts_inputs_failures_and_tokens() {
    let watched = Watched::new(100);
    let mut texts = texts(60);
    texts[30] = "refused".into();
    texts[31] = "could".into();
    let mut seen: Vec<Progress> = Vec::new();
    let outputs = watched.stream(&texts).on_progress(|progress| seen.push(progress)).count();
    assert_eq!(outputs, 60);
    assert_eq!(seen.len(), watched.groups.lock().unwrap().len());
    assert!(seen.is_sorted_by_key(|progress| progress.done));
    let last = seen.last().unwrap();
    assert_eq!((last.done, last.failed, last.total), (60, 2, Some(60)));
    let tokens: usize = watched.groups.lock().unwrap().iter().sum();
    assert_eq!(last.tokens, tokens);
    let mut totals = Vec::new();
    let odd = texts.iter().filter(|text| text.len() % 2 == 1);
    watched.stream(odd).on_progress(|progress| totals.push(progress.total)).for_each(drop);
    assert!(!totals.is_empty() && totals.iter().all(Option::is_none), "a filter knows no number");
}

#[test]
fn pipelines_go_where_threads_go() {
    fn shared<P: Pipeline + 'static>() {}
    shared::<TextClassification>();
    shared::<FillMask>();
    let classify = TextClassification::from_pretrained(fixture("classifier")).unwrap();
    let expected = classify.run("the compiler shows an error").unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let found = classify.run_many(vec!["the compiler shows an error"; 20]);
                assert!(found.into_iter().all(|output| output.unwrap() == expected));
            });
        }
    });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let found = pool.install(|| classify.run_many(texts(100)));
    assert!(found.iter().all(Result::is_ok));
}

#[test]
fn the_budget_is_an_option_of_loading() {
    let options = PipelineOptions::new().tokens_per_batch(7);
    let fill = FillMask::from_pretrained_with(demo(), &options).unwrap();
    assert_eq!(fill.tokens_per_batch(), 7);
    let mut groups = 0;
    fill.stream(["深[MASK]", "学[MASK]", "度[MASK]"]).on_progress(|_| groups += 1).for_each(drop);
    assert_eq!(groups, 3);
}
