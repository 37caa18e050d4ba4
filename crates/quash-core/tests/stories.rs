//! Runs the stories in `stories/`: texts of commands and expected answers, readable without Rust.
//! `world/mod.rs` implements the commands.
//!
//! A story is a list of paragraphs: a command, then its expected answer. A paragraph that begins with `#` is
//! a remark. Run with `UPDATE_STORIES=1` to write the actual answers instead, and review the difference.

mod world;

use std::path::Path;

use world::World;

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "an environment variable makes the test rewrite the stories")]
async fn stories_give_the_expected_answers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let mut paths: Vec<_> =
        std::fs::read_dir(&folder).expect("stories").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(paths.len() >= 8, "some stories are missing");
    let mut faults = Vec::new();
    for path in paths {
        let told = std::fs::read_to_string(&path).expect("a story");
        let happened = run(&told).await;
        if told == happened {
            continue;
        }
        if std::env::var_os("UPDATE_STORIES").is_some() {
            std::fs::write(&path, &happened).expect("the story is written");
        }
        faults.push(format!("{} differs:\n{}", path.display(), difference(&told, &happened)));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Returns the story with the actual answers in place of the expected ones.
async fn run(told: &str) -> String {
    let mut world = World::new();
    let mut happened = Vec::new();
    let mut paragraphs =
        told.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()).peekable();
    while let Some(paragraph) = paragraphs.next() {
        happened.push(paragraph.to_owned());
        if !paragraph.starts_with('#') {
            happened.push(world.act(paragraph).await);
            paragraphs.next();
        }
    }
    happened.join("\n\n") + "\n"
}

fn difference(told: &str, happened: &str) -> String {
    let at = told.lines().zip(happened.lines()).position(|(told, happened)| told != happened);
    let line = at.unwrap_or_else(|| told.lines().count().min(happened.lines().count()));
    let of = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
    format!("  line {}\n  expected: {}\n  actual:   {}", line + 1, of(told), of(happened))
}
