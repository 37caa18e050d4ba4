//! The law of quash: tokens, sessions, revocations, and every decision on them.
//!
//! Everything here is a pure function of its arguments. Time and chance come in as [`model::Timestamp`] and
//! [`model::Entropy`]; there is no I/O, no async, no logging. What a decision wants done comes out as a
//! [`model::Change`] for the store, what it forbids as a [`model::Refusal`] for the client.
//!
//! The rooms, in reading order: [`model`] has the nouns, [`token`] the wire format, [`decide`] the rules,
//! [`watch`] what a verifier knows.

pub mod model;

pub mod token;

pub mod decide;

pub mod watch;
