//! A verifier in this process, a real server, and a way between them that is cut, delayed, mangled or silent: what has
//! ended is never let in later than a lease holds, and what was refused as ended never comes back. Then the same while the
//! server is killed, its store goes back, or its clock jumps.

mod clocks;
mod faults;
mod presented;
mod proxy;
mod restarts;
mod site;
#[path = "../support/mod.rs"]
mod support;
mod wait;
