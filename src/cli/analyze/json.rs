//! What is told to programs.

use serde_json::{Value, json};

use super::{Judged, JudgedCipher};
use crate::analysis::{
    cipher::stage,
    suite::{Mode, Row},
    summary,
};

/// `{alpha, metrics, chaotic_stage, controls, summary}`: our profiles or `external`, the chaotic stage alone, controls. Values
/// that are not finite are null.
pub fn of(judged: &[Judged], alpha: f64) -> String {
    let is_stage = |cipher: &&JudgedCipher| cipher.name == stage::NAME;
    let rows = |wanted: &dyn Fn(&&JudgedCipher) -> bool| -> Vec<Value> {
        judged
            .iter()
            .flat_map(|judged| {
                let ciphers = judged.ciphers.iter().filter(|cipher| wanted(cipher));
                ciphers
                    .flat_map(|cipher| cipher.judgement.rows.iter().map(|row| metric(&judged.input.name, cipher, row)))
            })
            .collect()
    };
    let all = judged.iter().flat_map(|judged| &judged.ciphers);
    let all = all.flat_map(|cipher| cipher.judgement.rows.iter().map(|row| (cipher.name, row)));
    let summaries: Vec<Value> = match judged.len() {
        1 => Vec::new(),
        _ => summary::summaries(all, alpha).iter().map(|summary| json!({
            "profile": summary.profile, "mode": summary.mode.name(), "name": summary.name,
            "channel": summary.channel, "pictures": summary.pictures, "mean": summary.mean,
            "half_width": summary.half_width, "lowest": summary.range[0], "highest": summary.range[1],
            "passed": summary.passed.map(|[passed, _]| passed), "judged": summary.passed.map(|[_, judged]| judged),
            "pass_proportion": summary.pass_proportion(), "least_pass_proportion": summary.least_proportion(alpha),
        })).collect(),
    };
    let report = json!({
        "alpha": alpha,
        "metrics": rows(&|cipher| !cipher.is_control && !is_stage(cipher)),
        "chaotic_stage": rows(&is_stage),
        "controls": rows(&|cipher| cipher.is_control),
        "summary": summaries,
    });
    serde_json::to_string_pretty(&report).map(|text| text + "\n").unwrap_or_default()
}

fn metric(input: &str, cipher: &JudgedCipher, row: &Row) -> Value {
    let finding = &row.finding;
    // What makes a cipher pass says nothing of the tests that it fails by chance.
    let fails_by_chance = row.mode == Mode::FreshCounter && finding.pass() == Some(false);
    let note = cipher.note(row.mode).filter(|_| !fails_by_chance);
    json!({
        "input": input, "profile": cipher.name, "mode": row.mode.name(), "name": finding.name,
        "channel": finding.channel, "value": finding.value, "samples": finding.samples, "ideal": finding.ideal,
        "critical": finding.critical, "pass": finding.pass(), "note": note,
    })
}
