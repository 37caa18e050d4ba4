//! Blind mutation of a corpus, for machines without a C++ compiler. It isn't guided by coverage, but the same
//! seed gives the same inputs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::targets;

/// The corpus, the folder for failing inputs, and the time limit.
struct Plan {
    corpus: PathBuf,
    artifacts: PathBuf,
    time: Duration,
}

pub(crate) fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [corpus, artifacts, seconds] = &args[..] else {
        eprintln!("usage: CORPUS ARTIFACTS SECONDS");
        return ExitCode::from(2);
    };
    let time = Duration::from_secs(seconds.parse().unwrap_or(60));
    run(&Plan { corpus: corpus.into(), artifacts: artifacts.into(), time })
}

fn run(plan: &Plan) -> ExitCode {
    let inputs: Vec<Vec<u8>> = std::fs::read_dir(&plan.corpus)
        .map(|entries| entries.filter_map(|entry| std::fs::read(entry.ok()?.path()).ok()).collect())
        .unwrap_or_default();
    let (mut dice, began, mut rounds) = (Rng(0x9e37_79b9_7f4a_7c15), Instant::now(), 0_u64);
    for input in &inputs {
        targets::run(input);
    }
    while began.elapsed() < plan.time {
        let mut input = inputs.get(dice.below(inputs.len().max(1))).cloned().unwrap_or_default();
        for _ in 0..=dice.below(8) {
            dice.mutate(&mut input, &inputs);
        }
        let taken = std::panic::catch_unwind(|| targets::run(&input));
        if taken.is_err() {
            let path = plan.artifacts.join(format!("crash-{rounds}"));
            let kept = std::fs::write(&path, &input);
            eprintln!("an input failed: {} ({kept:?})", path.display());
            return ExitCode::FAILURE;
        }
        rounds += 1;
    }
    println!("{rounds} inputs, mutated blindly from {}", inputs.len());
    ExitCode::SUCCESS
}

/// A pseudo-random generator (xorshift*); fuzzing needs no better one.
struct Rng(u64);

impl Rng {
    fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.draw() % (end as u64)).unwrap_or(0)
    }

    fn mutate(&mut self, input: &mut Vec<u8>, others: &[Vec<u8>]) {
        const WORDS: [&[u8]; 12] = [
            b"{}",
            b"[]",
            b"\"",
            b"null",
            b"-1",
            b"9223372036854775808",
            b"1e400",
            b"\\ud800",
            b"\xff",
            b"\0",
            b"\r\n",
            b".",
        ];
        let place = self.below(input.len() + 1);
        match self.below(6) {
            0 if place < input.len() => input[place] = self.draw().to_le_bytes()[0],
            1 if place < input.len() => drop(input.remove(place)),
            2 => {
                let word = WORDS[self.below(WORDS.len())];
                input.splice(place..place, word.iter().copied());
            }
            3 => input.truncate(place),
            4 if !others.is_empty() => {
                let other = &others[self.below(others.len())];
                let (from, to) = (self.below(other.len() + 1), self.below(other.len() + 1));
                input.splice(place..place, other[from.min(to)..from.max(to)].iter().copied());
            }
            _ if place < input.len() => input[place] ^= 1 << self.below(8),
            _ => input.push(self.draw().to_le_bytes()[0]),
        }
    }
}
