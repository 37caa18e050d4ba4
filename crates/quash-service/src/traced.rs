//! The spans of the parts of a request, for traces. They have no text of a client.

/// The target of all spans, by which a subscriber takes or leaves them. No module has this name, or its log would be
/// taken for spans.
pub const TRACED: &str = "quash_spans";

/// Makes a span of this name.
macro_rules! part {
    ($name:literal) => {
        tracing::info_span!(target: $crate::traced::TRACED, $name)
    };
}
pub(crate) use part;
