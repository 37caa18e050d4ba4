//! Describes the machine that the figures were measured on.

use std::process::Command;

use crate::program;

/// Returns one line with cores, processor and compiler.
pub(super) fn line() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| model_of(&text))
        .unwrap_or_else(|| std::env::consts::ARCH.into());
    let rustc = program::output(Command::new("rustc").arg("--version"))
        .unwrap_or_else(|_| "rustc of unknown version".into());
    format!(
        "Measured on {cores} cores of {model} ({}), {}, release build.\n",
        std::env::consts::OS,
        rustc.trim()
    )
}

fn model_of(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, model)| model.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::model_of;

    #[test]
    fn the_model_is_read_from_cpuinfo() {
        assert_eq!(model_of("processor\t: 0\nmodel name\t: A CPU @ 2 GHz\n"), Some("A CPU @ 2 GHz".into()));
        assert_eq!(model_of("Processor: ARM"), None);
    }
}
