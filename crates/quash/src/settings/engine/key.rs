//! A key of a section, and its default.

use super::shape::{Describe, Shape};

/// A key of a section. `kind` determines the valid values, and `unset` the value if the key isn't set.
#[derive(Clone, Copy)]
pub(crate) struct Key<K, U = DefaultsTo> {
    pub(crate) name: &'static str,
    pub(crate) kind: K,
    pub(crate) unset: U,
    /// The effect of the key, and the reason for its default. Markdown, in one line.
    pub(crate) doc: &'static str,
}

/// The default value of a key, as TOML.
#[derive(Clone, Copy)]
pub(crate) struct DefaultsTo(pub(crate) &'static str);

/// A key without a default. The example, as TOML, shows the form; that of a secret is the name of a file.
#[derive(Clone, Copy)]
pub(crate) struct Optional {
    pub(crate) example: &'static str,
}

/// A key that every section must have.
#[derive(Clone, Copy)]
pub(crate) struct Required {
    pub(crate) example: &'static str,
}

/// The default of a key, for display.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unset {
    DefaultsTo(&'static str),
    Optional { example: &'static str },
    Required { example: &'static str },
}

/// The result of reading a key: the value itself, or an option for an optional key.
pub(crate) trait Presence {
    type Of<T>;
    fn describe(&self) -> Unset;
    /// The result for a value that was set or is the default.
    fn present<T>(value: T) -> Self::Of<T>;
    /// The result without a value; `None`: the key is required.
    fn absent<T>() -> Option<Self::Of<T>>;
}

/// The description of a key, for display.
#[derive(Clone, Debug)]
pub(crate) struct Description {
    pub(crate) name: String,
    pub(crate) shape: Shape,
    pub(crate) unset: Unset,
    pub(crate) doc: String,
}

/// The suffix of the key that names a file with the value.
pub(crate) const FILE: &str = "_file";

/// A key of any kind.
pub(crate) trait Entry {
    fn name(&self) -> &'static str;
    fn describe(&self) -> Description;
}

impl Unset {
    /// Returns the default or, if there is none, the example.
    pub(crate) fn written(self) -> &'static str {
        match self {
            Self::DefaultsTo(toml) | Self::Optional { example: toml } | Self::Required { example: toml } => {
                toml
            }
        }
    }
}

impl Description {
    /// Describes the key that names a file with the value, if there is one.
    pub(crate) fn file(&self) -> Option<Self> {
        let example = self.unset.written();
        let whose = match self.shape {
            Shape::Secret => "; only its owner and group may have access to it",
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
