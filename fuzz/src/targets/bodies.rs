//! Request bodies of every media type. The first byte chooses the type.

use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};

const MEDIA_TYPES: [&str; 8] = [
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=X",
    "multipart/form-data; boundary=\"a b\"",
    "application/json; charset=utf-16",
    "application/x-www-form-urlencoded; charset=shift_jis",
    "multipart/form-data; boundary=X; charset=iso-8859-1",
    "",
];

/// A body's time limit needs a timer, and so a runtime.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().enable_time().build().expect("a runtime"));

pub(super) fn run(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let media_type = MEDIA_TYPES[usize::from(*choice) % MEDIA_TYPES.len()];
    RUNTIME.block_on(quash_server::fuzz::body(media_type, body.to_vec()));
}
