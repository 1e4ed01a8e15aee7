//! What is told of a training: JSON for programs, a table for people.

use serde_json::{Value, json};

use crate::{
    cli::bench::report::commit,
    nn::{
        Classifier, Label,
        training::{Epoch, Evaluation, Settings},
    },
};

/// Everything that is needed to judge a model, and to make it again.
pub fn json(settings: &Settings, history: &[Epoch], evaluation: &Evaluation, model: &[u8]) -> String {
    pretty(&json!({
        "model_digest": blake3::hash(model).to_hex().as_str(), "model_bytes": model.len(),
        "data_digest": settings.data_digest, "seed": settings.seed, "epochs": history, "labels": Label::ALL.map(Label::name),
        "test": figures(evaluation),
    }))
}

/// What a model came to; `weights_digest` is the digest in its file.
pub fn evaluation_json(classifier: &Classifier, settings: &Settings, evaluation: &Evaluation) -> String {
    pretty(&json!({
        "weights_digest": classifier.description().digest, "data_digest": settings.data_digest, "seed": settings.seed,
        "commit": commit(), "labels": Label::ALL.map(Label::name), "test": figures(evaluation),
    }))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).map(|text| text + "\n").unwrap_or_default()
}

fn figures(evaluation: &Evaluation) -> Value {
    let confusion = &evaluation.confusion;
    let by_label: serde_json::Map<_, _> = Label::ALL
        .map(|label| {
            let figures = json!({
                "precision": confusion.precision(label), "recall": confusion.recall(label), "f1": confusion.f1(label),
            });
            (label.name().to_owned(), figures)
        })
        .into_iter()
        .collect();
    json!({
        "sources": evaluation.sources, "samples": confusion.samples(), "accuracy": confusion.accuracy(),
        "macro_f1": confusion.macro_f1(), "confusion": confusion.counts, "by_label": by_label,
        "sources_plain_as_encrypted": evaluation.sources_plain_as_encrypted,
        "sources_encrypted_as_plain": evaluation.sources_encrypted_as_plain,
        "drawn_again": evaluation.drawn_again, "told_by_origin": evaluation.by_origin,
    })
}

/// The result on the test pictures.
pub fn table(evaluation: &Evaluation) -> String {
    let confusion = &evaluation.confusion;
    let (plain, encrypted) = (Label::Plain.index(), Label::Encrypted.index());
    let sources = evaluation.sources;
    let mut text = format!(
        "{} crops of {sources} pictures that it has not seen; rows are what they are, columns what they are taken for\n\n{}\n\
         accuracy {:.4}, macro-F1 {:.4}\n",
        confusion.samples(),
        confusion.table(),
        confusion.accuracy(),
        confusion.macro_f1()
    );
    for (truth, told, mistaken) in [
        (plain, encrypted, evaluation.sources_plain_as_encrypted),
        (encrypted, plain, evaluation.sources_encrypted_as_plain),
    ] {
        let crops: u64 = confusion.counts[truth].iter().sum();
        text += &format!(
            "{} taken for {}: {} of {crops} crops, from {mistaken} of {sources} pictures\n",
            Label::ALL[truth].name(),
            Label::ALL[told].name(),
            confusion.counts[truth][told]
        );
    }
    text
}
