//! The engine of the settings: kinds of values, keys, tables of keys, the layers that values come from, faults,
//! and the outputs that are made from the descriptions of `sections/`.

pub(crate) mod environment;
pub(crate) mod layers;

pub(crate) mod key;
pub(crate) mod kind;
pub(crate) mod secret;
pub(crate) mod section;
pub(crate) mod shape;
pub(crate) mod span;
pub(crate) mod strength;
pub(crate) mod table;
pub(crate) mod value;
pub(crate) mod web;

pub(crate) mod draft;
mod pattern;
pub(crate) mod schema;
pub(crate) mod show;

pub(crate) mod fault;
mod nearest;
