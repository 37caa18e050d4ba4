//! JSON parsing: valid texts are read unless a limit forbids it, invalid ones are refused, and where a parser
//! may choose, our choice is checked.

use std::fs;

use quash_core::token::{Duplicates, parse_json};

use super::folder;

/// Valid texts that are refused, and why.
const REFUSED: [(&str, &str); 2] = [
    ("y_object_duplicated_key.json", "two readers could believe two different claims (RFC 7519 4)"),
    ("y_object_duplicated_key_and_value.json", "the same"),
];
/// Texts that may be read or refused, and are read: numbers between the largest and the smallest of 64-bit
/// floating point, rounded. None of them is a valid time, which is checked when a claim is read.
const READ: [&str; 5] = [
    "i_number_double_huge_neg_exp.json",
    "i_number_real_underflow.json",
    "i_number_too_big_neg_int.json",
    "i_number_too_big_pos_int.json",
    "i_number_very_big_negative_int.json",
];

#[test]
fn every_json_text_gets_its_verdict() {
    let Some(folder) = folder("json-parsing") else { return };
    let (mut seen, mut chosen, mut wrong) = (0, Vec::new(), Vec::new());
    for entry in fs::read_dir(folder.join("test_parsing")).expect("a folder") {
        let path = entry.expect("a file").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let text = fs::read(&path).expect("a file");
        let strict = parse_json(&text, Duplicates::Refuse).is_ok();
        let lenient = parse_json(&text, Duplicates::LastWins).is_ok();
        seen += 1;
        match name.as_bytes()[0] {
            b'y' if !lenient => wrong.push(format!("{name} must be read")),
            b'y' if strict == REFUSED.iter().any(|(refused, _)| *refused == name) => {
                wrong.push(format!("{name} in a token: {strict}"))
            }
            b'n' if strict || lenient => wrong.push(format!("{name} must be refused")),
            b'i' if strict != lenient => wrong.push(format!("{name} isn't about duplicates")),
            b'i' if strict => chosen.push(name),
            _ => {}
        }
    }
    chosen.sort();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(chosen, READ);
    assert_eq!(seen, 224);
}
