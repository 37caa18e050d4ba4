//! Settings files.

pub(super) fn run(data: &[u8]) {
    quash::fuzz_settings(data);
}
