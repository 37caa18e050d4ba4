//! Runs a simulation for each of several seeds.

use std::panic::catch_unwind;

/// The seeds of a run.
pub(crate) struct Seeds {
    pub(crate) first: u64,
    pub(crate) runs: u64,
}

impl Seeds {
    /// The seeds that the environment names, or so many from 1.
    pub(crate) fn chosen(runs: u64) -> Self {
        let number = |name: &str, otherwise: u64| {
            #[expect(clippy::disallowed_methods, reason = "the caller chooses the seeds")]
            std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
        };
        Self { first: number("QUASH_SIM_SEED", 1), runs: number("QUASH_SIM_RUNS", runs) }
    }

    /// Runs each seed. Panics with the seed that has found something, after its violation was printed.
    pub(crate) fn each<T>(&self, run: fn(u64) -> T) -> impl Iterator<Item = T> {
        (self.first..self.first + self.runs).map(move |seed| {
            catch_unwind(|| run(seed)).unwrap_or_else(|_| panic!("seed {seed} has found something"))
        })
    }
}

/// Runs a world whose time passes only while all its tasks wait.
pub(crate) fn simulate<T>(world: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(world)
}
