//! quash's domain: tokens, sessions, revocations, and every decision about them.
//!
//! Everything here is a pure function of its arguments. Time and entropy are passed in as
//! [`model::Timestamp`] and [`model::Entropy`]; there is no I/O, no async, no logging. A decision returns a
//! [`model::Change`] for the store to write, or a [`model::Refusal`] for the client.
//!
//! The modules in reading order: [`model`] has the types, [`token`] the wire format, [`decide`] the rules,
//! [`watch`] the state of a verifier. [`hex`] is the one encoding of bytes as hexadecimal text.

pub mod hex;

pub mod model;

pub mod token;

pub mod decide;

pub mod watch;
