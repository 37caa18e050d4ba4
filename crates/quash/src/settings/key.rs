//! A key of a section, as its section's file describes it, and what holds where nobody sets it.

use super::shape::{Describe, Shape};

/// A key of a section: its kind says what may be written, and `unset` what holds where nothing is.
#[derive(Clone, Copy)]
pub(super) struct Key<K, U = DefaultsTo> {
    pub(super) name: &'static str,
    pub(super) kind: K,
    pub(super) unset: U,
    /// What the key does, and why its default is so. Markdown, in one line.
    pub(super) doc: &'static str,
}

/// What holds where a key isn't set: this, as TOML writes it.
#[derive(Clone, Copy)]
pub(super) struct DefaultsTo(pub(super) &'static str);

/// Nothing holds where a key isn't set. The example, as TOML writes it, is for who looks for the form; that of a secret
/// is the name of a file.
#[derive(Clone, Copy)]
pub(super) struct Optional {
    pub(super) example: &'static str,
}

/// A section without the key is wrong.
#[derive(Clone, Copy)]
pub(super) struct Required {
    pub(super) example: &'static str,
}

/// What holds where a key isn't set, for whoever only shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unset {
    DefaultsTo(&'static str),
    Optional { example: &'static str },
    Required { example: &'static str },
}

/// What a key's reading gives: the value itself, or an option where nothing may hold.
pub(super) trait Presence {
    type Of<T>;
    /// For whoever only shows it.
    fn describe(&self) -> Unset;
    /// A value that was set, or is the default.
    fn present<T>(value: T) -> Self::Of<T>;
    /// What there is without one, if a section may be without.
    fn absent<T>() -> Option<Self::Of<T>>;
}

/// All that is to be said about a key.
#[derive(Clone, Debug)]
pub(super) struct Description {
    pub(super) name: String,
    pub(super) shape: Shape,
    pub(super) unset: Unset,
    pub(super) doc: String,
}

/// What the key of the file that holds a value has after the value's own name.
pub(super) const FILE: &str = "_file";

/// A key, whatever its kind.
pub(super) trait Entry {
    fn name(&self) -> &'static str;
    fn describe(&self) -> Description;
}

impl Unset {
    /// The default or, where there is none, an example.
    pub(super) fn written(self) -> &'static str {
        match self {
            Self::DefaultsTo(toml) | Self::Optional { example: toml } | Self::Required { example: toml } => {
                toml
            }
        }
    }
}

impl Description {
    /// The key of the file that may hold the value.
    pub(super) fn file(&self) -> Option<Self> {
        let example = self.unset.written();
        let whose = match self.shape {
            Shape::Secret => "; nobody but its owner and group may use it",
            _ => "",
        };
        self.shape.may_be_in_a_file().then(|| Self {
            name: format!("{}{FILE}", self.name),
            shape: Shape::File,
            unset: Unset::Optional { example },
            doc: format!("The file that holds `{}` instead{whose}.", self.name),
        })
    }
}

impl<K: Describe, U: Presence> Entry for Key<K, U> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn describe(&self) -> Description {
        Description {
            name: self.name.to_owned(),
            shape: self.kind.shape(),
            unset: self.unset.describe(),
            doc: self.doc.to_owned(),
        }
    }
}

impl Presence for DefaultsTo {
    type Of<T> = T;

    fn describe(&self) -> Unset {
        Unset::DefaultsTo(self.0)
    }

    fn present<T>(value: T) -> T {
        value
    }

    fn absent<T>() -> Option<T> {
        None
    }
}

impl Presence for Optional {
    type Of<T> = Option<T>;

    fn describe(&self) -> Unset {
        Unset::Optional { example: self.example }
    }

    fn present<T>(value: T) -> Option<T> {
        Some(value)
    }

    fn absent<T>() -> Option<Option<T>> {
        Some(None)
    }
}

impl Presence for Required {
    type Of<T> = T;

    fn describe(&self) -> Unset {
        Unset::Required { example: self.example }
    }

    fn present<T>(value: T) -> T {
        value
    }

    fn absent<T>() -> Option<T> {
        None
    }
}
